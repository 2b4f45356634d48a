/* Extension of a plugin: bulkhead.settings-check/1
 *
 * What a schema cannot say of settings: ranges, forms, what belongs together. `bulkhead check` asks for it, where nothing
 * is started; `start` refuses the same settings. */
#ifndef BULKHEAD_SETTINGS_CHECK_H
#define BULKHEAD_SETTINGS_CHECK_H

#include "plugin.h"

#define BH_SETTINGS_CHECK "bulkhead.settings-check/1"

typedef struct bh_settings_check {
  uint32_t size;

  /* [main] Instead of `start`, and with what that would be given; the settings fit the schema. Of the host's functions it
   * may call `log` and `set_error`. Makes, opens and keeps nothing, and does not ask what may be away for a while, such as
   * a database.
   *
   * BH_OK; or BH_FAULT after set_error, with a line "KEY: what is wrong with it" or "KEY = VALUE: what is wrong with it"
   * for each setting: the host adds where it stands. */
  bh_status (*check)(const bh_plugin *plugin, const bh_start *start);
} bh_settings_check;

#endif
