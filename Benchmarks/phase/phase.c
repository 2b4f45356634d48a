/* Middleware that does nothing in both of its phases, so that what a request pays for them is the host's own cost.
 *
 *     cc -O2 -shared -fPIC -fvisibility=hidden -I Sources/PluginABI/include -o libPhase.so phase.c
 */
#include "bulkhead/plugin.h"

static bh_status start(const bh_plugin *plugin, const bh_start *start, void **instance) {
  (void)start;
  *instance = (void *)plugin;
  return BH_OK;
}

static bh_status pass(void *instance, bh_exchange *exchange, const bh_request *request) {
  (void)instance;
  (void)exchange;
  (void)request;
  return BH_OK;
}

static const bh_plugin table = {
    .size = sizeof(bh_plugin),
    .abi_major = BH_ABI_MAJOR,
    .abi_minor = BH_ABI_MINOR,
    .capabilities = BH_HANDLES_REQUEST | BH_HANDLES_RESPONSE,
    .name = "phase",
    .version = "1.0.0",
    .summary = "Does nothing, for benchmarks",
    .start = start,
    .request = pass,
    .response = pass,
};

__attribute__((visibility("default"))) const bh_plugin *bulkhead_plugin(void) { return &table; }
