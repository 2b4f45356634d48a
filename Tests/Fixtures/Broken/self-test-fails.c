/* Starts, and finds by its own test that it does not work. */
#include "broken.h"
#include "bulkhead/self-test.h"

static bh_status run(void *instance) {
  const started *self = instance;
  self->host->set_error(self->context, NULL, view("two and two make five"));
  return BH_FAULT;
}

static const bh_self_test self_test = {.size = sizeof(bh_self_test), .run = run};

static const void *extension(const bh_plugin *plugin, const char *id) {
  (void)plugin;
  return strcmp(id, BH_SELF_TEST) == 0 ? &self_test : NULL;
}

static const bh_plugin table = {
    TABLE, .name = "self-test-fails", .start = start_well, .stop = free, .extension = extension};

const bh_plugin *bulkhead_plugin(void) { return &table; }
