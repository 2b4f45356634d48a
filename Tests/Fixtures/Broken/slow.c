/* A plugin that takes its time where others wait for the thread: as long as a header says, in the phase that is meant.
 *
 * `X-Slow-Request`, `X-Slow-Route`, `X-Slow-Response`: milliseconds. `X-Slow-Then: trap` crashes after them.
 * It says so on standard error, for those who wait until it does.
 * `GET take` runs on a loop, `GET block` on the pool. */
#define _GNU_SOURCE
#include <bulkhead/bulkhead.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static const bh_host *host;

static bh_bytes field(const bh_request *request, const char *name) {
  for (size_t index = 0; index < request->field_count; index++) {
    bh_bytes found = request->fields[index].name;
    if (found.count == strlen(name) && strncasecmp(found.data, name, found.count) == 0)
      return request->fields[index].value;
  }
  return (bh_bytes){0};
}

static void take_time(const bh_request *request, const char *name) {
  bh_bytes value = field(request, name);
  char text[16] = "";
  if (value.count == 0 || value.count >= sizeof text) return;
  memcpy(text, value.data, value.count);
  fprintf(stderr, "slow: takes its time\n");
  usleep((useconds_t)atoi(text) * 1000);
  if (field(request, "X-Slow-Then").count != 0) __builtin_trap();
}

static bh_status on_request(void *instance, bh_exchange *exchange, const bh_request *request) {
  (void)instance, (void)exchange;
  take_time(request, "X-Slow-Request");
  return BH_OK;
}

static bh_status on_response(void *instance, bh_exchange *exchange, const bh_request *request) {
  (void)instance, (void)exchange;
  take_time(request, "X-Slow-Response");
  return BH_OK;
}

static bh_status handle(void *instance, uint32_t handler, bh_exchange *exchange, const bh_request *request) {
  (void)instance, (void)handler;
  take_time(request, "X-Slow-Route");
  host->set_body(exchange, request->request_id);
  return BH_OK;
}

static bh_status start(const bh_plugin *plugin, const bh_start *start, void **instance) {
  (void)plugin, (void)instance;
  host = start->host;
  const bh_route take = {.size = sizeof take, .method = "GET", .pattern = "take", .access = BH_ACCESS_PUBLIC};
  const bh_route block = {.size = sizeof block, .method = "GET", .pattern = "block", .access = BH_ACCESS_PUBLIC,
                          .execution = BH_BLOCKING};
  if (host->add_route(start->context, &take) != BH_OK) return BH_FAULT;
  return host->add_route(start->context, &block);
}

static const bh_plugin table = {
    .size = sizeof(bh_plugin),
    .abi_major = BH_ABI_MAJOR,
    .abi_minor = BH_ABI_MINOR,
    .capabilities = BH_HANDLES_REQUEST | BH_HANDLES_RESPONSE | BH_ROUTES,
    .name = "slow",
    .version = "1.0.0",
    .summary = "Takes its time",
    .start = start,
    .request = on_request,
    .response = on_response,
    .handle = handle,
};

EXPORT const bh_plugin *bulkhead_plugin(void) { return &table; }
