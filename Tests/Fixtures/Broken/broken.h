/* What the broken plugins share. */
#ifndef BROKEN_H
#define BROKEN_H

#include "bulkhead/plugin.h"

#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT const bh_plugin *bulkhead_plugin(void);

static inline bh_bytes view(const char *text) {
  return (bh_bytes){.data = text, .count = strlen(text)};
}

/* What start hands on: a plugin that needs no more than to state errors and problems. */
typedef struct started {
  const bh_host *host;
  bh_context *context;
} started;

static inline bh_status start_well(const bh_plugin *plugin, const bh_start *start, void **instance) {
  (void)plugin;
  started *self = malloc(sizeof *self);
  if (self == NULL) return BH_FAULT;
  *self = (started){.host = start->host, .context = start->context};
  *instance = self;
  return BH_OK;
}

/* For what the host must not start: aborts, so that no test can pass by chance. */
static inline bh_status start_never(const bh_plugin *plugin, const bh_start *start, void **instance) {
  (void)plugin;
  (void)start;
  (void)instance;
  abort();
}

static inline bh_status request_well(void *instance, bh_exchange *exchange, const bh_request *request) {
  (void)instance;
  (void)exchange;
  (void)request;
  return BH_OK;
}

/* The head of every table. */
#define TABLE \
  .size = sizeof(bh_plugin), .abi_major = BH_ABI_MAJOR, .abi_minor = BH_ABI_MINOR, .version = "1.0.0", \
  .summary = "Broken on purpose", .capabilities = BH_HANDLES_REQUEST, .request = request_well

#endif
