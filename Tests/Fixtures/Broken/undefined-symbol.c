/* Needs a function that no library has. */
#include "broken.h"

int bulkhead_no_such_function(void);

static bh_status start(const bh_plugin *plugin, const bh_start *start, void **instance) {
  return bulkhead_no_such_function() == 0 ? start_well(plugin, start, instance) : BH_FAULT;
}

static const bh_plugin table = {TABLE, .name = "undefined-symbol", .start = start, .stop = free};

const bh_plugin *bulkhead_plugin(void) { return &table; }
