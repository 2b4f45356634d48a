/* Says of its settings what its schema cannot: or does not get that far.
 *
 *     -DCHECK=words   one line a setting
 *     -DCHECK=trap    the check crashes
 */
#include "broken.h"

#include "bulkhead/settings-check.h"

__attribute__((unused)) static bh_status words(const bh_plugin *plugin, const bh_start *start) {
  (void)plugin;
  if (start->setting_count < 3) return BH_OK;
  start->host->set_error(
      start->context, NULL, view("size: is odd\nrange = 9-1: ends before it begins\nboth together are too much"));
  return BH_FAULT;
}

__attribute__((unused)) static bh_status trap(const bh_plugin *plugin, const bh_start *start) {
  (void)plugin;
  (void)start;
  __builtin_trap();
}

static const bh_settings_check check_table = {.size = sizeof(bh_settings_check), .check = CHECK};

static const void *extension(const bh_plugin *plugin, const char *id) {
  (void)plugin;
  return strcmp(id, BH_SETTINGS_CHECK) == 0 ? &check_table : NULL;
}

static const bh_setting_schema size_setting = {
    .size = sizeof(bh_setting_schema), .type = BH_SETTING_INTEGER, .name = "size", .help = "an even number"};
static const bh_setting_schema range_setting = {
    .size = sizeof(bh_setting_schema),
    .type = BH_SETTING_STRING,
    .flags = BH_SETTING_REPEATABLE,
    .name = "range",
    .help = "FROM-TO"};
static const bh_setting_schema *const schema[] = {&size_setting, &range_setting};

static bh_status request(void *instance, bh_exchange *exchange, const bh_request *request) {
  (void)instance;
  (void)exchange;
  (void)request;
  return BH_OK;
}

static const bh_plugin table = {
    .size = sizeof(bh_plugin),
    .abi_major = BH_ABI_MAJOR,
    .capabilities = BH_HANDLES_REQUEST,
    .name = "settings-check",
    .version = "1.0.0",
    .settings = schema,
    .setting_count = 2,
    .start = start_well,
    .request = request,
    .extension = extension,
};

const bh_plugin *bulkhead_plugin(void) { return &table; }
