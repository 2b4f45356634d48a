/* Needs libnothere.so, which is there when this is linked, and is not when it is loaded. */
#include "broken.h"

int nothere(void);

static bh_status start(const bh_plugin *plugin, const bh_start *start, void **instance) {
  return nothere() == 0 ? start_well(plugin, start, instance) : BH_FAULT;
}

static const bh_plugin table = {TABLE, .name = "missing-library", .start = start, .stop = free};

const bh_plugin *bulkhead_plugin(void) { return &table; }
