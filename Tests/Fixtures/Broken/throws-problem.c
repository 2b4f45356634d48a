/* Not broken: refuses every request with a problem, which is no fault. */
#include "broken.h"

static bh_status refuse(void *instance, bh_exchange *exchange, const bh_request *request) {
  (void)request;
  const started *self = instance;
  const bh_problem problem = {.size = sizeof problem, .status = 409, .code = view("always-busy")};
  return self->host->set_problem(exchange, &problem) == BH_OK ? BH_RESPOND : BH_FAULT;
}

static const bh_plugin table = {
    .size = sizeof(bh_plugin),
    .abi_major = BH_ABI_MAJOR,
    .name = "throws-problem",
    .version = "1.0.0",
    .capabilities = BH_HANDLES_REQUEST,
    .start = start_well,
    .stop = free,
    .request = refuse,
};

const bh_plugin *bulkhead_plugin(void) { return &table; }
