/* A plugin that needs a certain version of a library, of which another plugin needs another one by the same name. */
#include "bulkhead/plugin.h"

int shared_version(void);

static bh_status start(const bh_plugin *plugin, const bh_start *start, void **instance) {
  static const char text[] = "the library that came is another version than the one that this was built with";
  (void)plugin;
  *instance = (void *)&instance;
  if (shared_version() == VERSION) return BH_OK;
  start->host->set_error(start->context, NULL, (bh_bytes){.data = text, .count = sizeof text - 1});
  return BH_FAULT;
}
static bh_status request(void *instance, bh_exchange *exchange, const bh_request *request) {
  (void)instance, (void)exchange, (void)request;
  return BH_OK;
}

static const bh_plugin table = {.size = sizeof(bh_plugin), .abi_major = BH_ABI_MAJOR, .capabilities = BH_HANDLES_REQUEST,
                                .name = "way", .version = "1.0.0", .summary = "Needs one of two versions",
                                .start = start, .request = request};
const bh_plugin *bulkhead_plugin(void) { return &table; }
