/* Does not start, and says why. */
#include "broken.h"

static bh_status start(const bh_plugin *plugin, const bh_start *start, void **instance) {
  (void)plugin;
  (void)instance;
  start->host->set_error(start->context, NULL, view("the database is locked"));
  return BH_FAULT;
}

static void stop_never(void *instance) {
  (void)instance;
  abort(); /* the host stops nothing that did not start */
}

static const bh_plugin table = {TABLE, .name = "start-fails", .start = start, .stop = stop_never};

const bh_plugin *bulkhead_plugin(void) { return &table; }
