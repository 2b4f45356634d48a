/* A table that the header forbids, in one way each:
 *
 *     -DSETTING='"mount"'   a setting of the host's own name; any other name stands for two settings
 *     -DVERSION='"x"'       a version that is none
 *     -DNAME='"…"'          another name
 *     -DSUMMARY='"…"'       another summary, and -DHELP='"…"' what it says of its setting
 */
#include "broken.h"

#ifdef SETTING
#define SETTINGS 2
#else
#define SETTING "colour"
#define SETTINGS 1
#endif
#ifndef VERSION
#define VERSION "1.0.0"
#endif
#ifndef NAME
#define NAME "bad-table"
#endif
#ifndef SUMMARY
#define SUMMARY "Broken on purpose"
#endif
#ifndef HELP
#define HELP "What it does not take"
#endif

static const bh_setting_schema setting = {
    .size = sizeof(bh_setting_schema), .type = BH_SETTING_STRING, .name = SETTING, .help = HELP};
static const bh_setting_schema *const settings[] = {&setting, &setting};

static const bh_plugin table = {
    .size = sizeof(bh_plugin),
    .abi_major = BH_ABI_MAJOR,
    .abi_minor = BH_ABI_MINOR,
    .capabilities = BH_HANDLES_REQUEST,
    .name = NAME,
    .version = VERSION,
    .summary = SUMMARY,
    .settings = settings,
    .setting_count = SETTINGS,
    .start = start_well,
    .request = request_well,
};

const bh_plugin *bulkhead_plugin(void) { return &table; }
