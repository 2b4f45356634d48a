/* Does not start, and does not say why. */
#include "broken.h"

static bh_status start(const bh_plugin *plugin, const bh_start *start, void **instance) {
  (void)plugin;
  (void)start;
  (void)instance;
  return BH_FAULT;
}

static const bh_plugin table = {TABLE, .name = "start-fails-silently", .start = start};

const bh_plugin *bulkhead_plugin(void) { return &table; }
