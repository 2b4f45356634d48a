/* Needs a setting; left out, the host does not start it. */
#include "broken.h"

static const bh_setting_schema secret = {
    .size = sizeof(bh_setting_schema),
    .type = BH_SETTING_STRING,
    .flags = BH_SETTING_REQUIRED | BH_SETTING_SECRET,
    .name = "api-key",
    .help = "the key of the service behind",
};

static const bh_setting_schema *const schema[] = {&secret};

static const bh_plugin table = {
    TABLE, .name = "requires-setting", .start = start_well, .stop = free, .settings = schema, .setting_count = 1};

const bh_plugin *bulkhead_plugin(void) { return &table; }
