/* Hands in a route that is none, and takes the host's refusal for its own failure. */
#include "broken.h"

static bh_status start(const bh_plugin *plugin, const bh_start *start, void **instance) {
  (void)plugin;
  (void)instance;
  const bh_route route = {.size = sizeof(bh_route), .method = "GET", .pattern = "{open"};
  if (start->host->add_route(start->context, &route) == BH_OK) abort();
  start->host->set_error(start->context, NULL, view("no such route"));
  return BH_FAULT;
}

static bh_status handle(void *instance, uint32_t handler, bh_exchange *exchange, const bh_request *request) {
  (void)instance;
  (void)handler;
  (void)exchange;
  (void)request;
  return BH_OK;
}

static const bh_plugin table = {
    .size = sizeof(bh_plugin),
    .abi_major = BH_ABI_MAJOR,
    .name = "bad-route",
    .version = "1.0.0",
    .capabilities = BH_ROUTES,
    .start = start,
    .handle = handle,
};

const bh_plugin *bulkhead_plugin(void) { return &table; }
