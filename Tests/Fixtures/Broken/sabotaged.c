/* A plugin that is well until somebody breaks it: all of it is the real library's, its name, settings, routes and answers,
 * until the file SABOTAGE is there. Its first word says which calls fail, `start` or `request` (every call of a request, in
 * each phase), and its second how: `throw`, `trap`, `exit`, `slow` (five seconds) or `hang`.
 * REAL is the path of the real library.
 */
#include "bulkhead/plugin.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const bh_plugin *real;
static const bh_host *host;
static bh_context *context;

/* BH_OK, if nobody wants `phase` to fail; BH_FAULT; or does not return. */
static bh_status fail(const char *phase, bh_exchange *exchange) {
  char wanted[16] = "", how[16] = "";
  FILE *file = fopen(SABOTAGE, "re");
  if (!file) return BH_OK;
  int words = fscanf(file, "%15s %15s", wanted, how);
  fclose(file);
  if (words != 2 || strcmp(wanted, phase) != 0) return BH_OK;
  if (strcmp(how, "trap") == 0) __builtin_trap();
  if (strcmp(how, "exit") == 0) exit(3);
  if (strcmp(how, "slow") == 0) {
    sleep(5);
    return BH_OK;
  }
  while (strcmp(how, "hang") == 0) pause();
  static const char message[] = "sabotaged";
  host->set_error(context, exchange, (bh_bytes){message, sizeof message - 1});
  return BH_FAULT;
}

static bh_status start(const bh_plugin *plugin, const bh_start *start, void **instance) {
  (void)plugin;
  host = start->host;
  context = start->context;
  return fail("start", 0) == BH_OK ? real->start(real, start, instance) : BH_FAULT;
}

static bh_status on_request(void *instance, bh_exchange *exchange, const bh_request *request) {
  return fail("request", exchange) == BH_OK ? real->request(instance, exchange, request) : BH_FAULT;
}

static bh_status on_response(void *instance, bh_exchange *exchange, const bh_request *request) {
  return fail("request", exchange) == BH_OK ? real->response(instance, exchange, request) : BH_FAULT;
}

static bh_status handle(void *instance, uint32_t handler, bh_exchange *exchange, const bh_request *request) {
  return fail("request", exchange) == BH_OK ? real->handle(instance, handler, exchange, request) : BH_FAULT;
}

static const void *extension(const bh_plugin *plugin, const char *id) {
  (void)plugin;
  return real->extension(real, id);
}

const bh_plugin *bulkhead_plugin(void) {
  void *library = dlopen(REAL, RTLD_NOW | RTLD_LOCAL);
  bh_entry entry = library ? (bh_entry)dlsym(library, BH_ENTRY_SYMBOL) : 0;
  real = entry ? entry() : 0;
  if (!real) return 0;
  static bh_plugin table;
  table = *real;
  table.size = sizeof table;
  table.start = start;
  if (real->request) table.request = on_request;
  if (real->response) table.response = on_response;
  if (real->handle) table.handle = handle;
  if (real->extension) table.extension = extension;
  return &table;
}
