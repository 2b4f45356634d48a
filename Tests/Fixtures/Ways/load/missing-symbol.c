/* A library that calls a function which nobody has: with lazy binding it would end the process at the first call. */
#include "bulkhead/plugin.h"

int nobody_has_this(void);

static bh_status start(const bh_plugin *plugin, const bh_start *start, void **instance) {
  (void)plugin, (void)start, (void)instance;
  return BH_OK;
}
static bh_status request(void *instance, bh_exchange *exchange, const bh_request *request) {
  (void)instance, (void)exchange, (void)request;
  return (bh_status)nobody_has_this();
}

static const bh_plugin table = {.size = sizeof(bh_plugin), .abi_major = BH_ABI_MAJOR, .capabilities = BH_HANDLES_REQUEST,
                                .name = "way", .version = "1.0.0", .summary = "Calls what is not there",
                                .start = start, .request = request};
const bh_plugin *bulkhead_plugin(void) { return &table; }
