/* Returns a status that the ABI does not have. */
#include "broken.h"

static bh_status request(void *instance, bh_exchange *exchange, const bh_request *request) {
  (void)instance;
  (void)exchange;
  (void)request;
  return 77;
}

static const bh_plugin table = {
    .size = sizeof(bh_plugin),
    .abi_major = BH_ABI_MAJOR,
    .name = "unknown-status",
    .version = "1.0.0",
    .capabilities = BH_HANDLES_REQUEST,
    .start = start_well,
    .stop = free,
    .request = request,
};

const bh_plugin *bulkhead_plugin(void) { return &table; }
