/* A rate limiter that counts by identity, and is wrong about requests for which auth has left none:
 *
 *     -DREFUSES=0    it fails
 *     -DREFUSES=1    it refuses them, which is an answer and no failure; but for the machine's own checks
 */
#include "bulkhead/plugin.h"

#include <stdlib.h>
#include <string.h>

typedef struct limiter {
  const bh_host *host;
  bh_context *context;
} limiter;

static bh_bytes view(const char *text) { return (bh_bytes){.data = text, .count = strlen(text)}; }

static bh_status start(const bh_plugin *plugin, const bh_start *start, void **instance) {
  (void)plugin;
  limiter *self = malloc(sizeof *self);
  if (self == NULL) return BH_FAULT;
  *self = (limiter){.host = start->host, .context = start->context};
  *instance = self;
  return BH_OK;
}

static bh_status request(void *instance, bh_exchange *exchange, const bh_request *request) {
  limiter *self = instance;
  if (self->host->identity(exchange) != NULL) return BH_OK;
  if (REFUSES) {
    bool is_own = request->client_address.count == 4 && memcmp(request->client_address.data, "unix", 4) == 0;
    if (is_own) return BH_OK;
    const bh_problem problem = {.size = sizeof problem, .status = 403, .code = view("access-denied")};
    return self->host->set_problem(exchange, &problem) == BH_OK ? BH_RESPOND : BH_FAULT;
  }
  self->host->set_error(self->context, exchange, view("auth has left no identity to count by"));
  return BH_FAULT;
}

/* The limits of the configuration are accepted, as the real one accepts them, and heeded by nobody. */
static const bh_setting_schema limit = {
    .size = sizeof limit, .type = BH_SETTING_STRING, .flags = BH_SETTING_REPEATABLE, .name = "limit", .help = "Ignored"};
static const bh_setting_schema *const settings[] = {&limit};

static const bh_plugin table = {
    .size = sizeof(bh_plugin),
    .abi_major = BH_ABI_MAJOR,
    .abi_minor = BH_ABI_MINOR,
    .capabilities = BH_HANDLES_REQUEST,
    .name = "ratelimit",
    .version = REFUSES ? "1.2.0" : "1.1.0",
    .summary = "Wrong about who asks",
    .settings = settings,
    .setting_count = 1,
    .start = start,
    .stop = free,
    .request = request,
};

__attribute__((visibility("default"))) const bh_plugin *bulkhead_plugin(void) { return &table; }
