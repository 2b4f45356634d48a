/* Refuses everybody: 403, from its request phase. */
#include "broken.h"

static bh_status request(void *instance, bh_exchange *exchange, const bh_request *request) {
  (void)request;
  started *self = instance;
  self->host->set_status(exchange, 403);
  return BH_RESPOND;
}

static const bh_plugin table = {
    .size = sizeof(bh_plugin),
    .abi_major = BH_ABI_MAJOR,
    .name = "refuses",
    .version = "1.0.0",
    .capabilities = BH_HANDLES_REQUEST,
    .start = start_well,
    .stop = free,
    .request = request,
};

const bh_plugin *bulkhead_plugin(void) { return &table; }
