/* An auth middleware that starts, passes its probes, and lacks the one method that the first signed-in user needs. It
 * looks that method up when it is called, as a scripting language does. */
#define _GNU_SOURCE
#include "bulkhead/plugin.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char method[] = "auth_service_verify_access_token";
typedef bool (*verify_access_token)(bh_bytes token, bh_identity *identity);

typedef struct auth {
  const bh_host *host;
  bh_context *context;
} auth;

static bh_bytes view(const char *text) { return (bh_bytes){.data = text, .count = strlen(text)}; }

static bh_status start(const bh_plugin *plugin, const bh_start *start, void **instance) {
  (void)plugin;
  auth *self = malloc(sizeof *self);
  if (self == NULL) return BH_FAULT;
  *self = (auth){.host = start->host, .context = start->context};
  *instance = self;
  const bh_route ping = {.size = sizeof ping, .method = "GET", .pattern = "_ping", .access = BH_ACCESS_PUBLIC};
  return start->host->add_route(start->context, &ping) == BH_OK ? BH_OK : BH_FAULT;
}

/* Without a token there is nobody to verify: the host refuses by itself. */
static bool token_of(const bh_request *request, bh_bytes *token) {
  for (size_t index = 0; index < request->field_count; index++) {
    bh_field field = request->fields[index];
    if (field.name.count != 13 || strncasecmp(field.name.data, "Authorization", 13) != 0) continue;
    if (field.value.count < 7 || strncasecmp(field.value.data, "Bearer ", 7) != 0) continue;
    *token = (bh_bytes){.data = field.value.data + 7, .count = field.value.count - 7};
    return true;
  }
  return false;
}

static bh_status request(void *instance, bh_exchange *exchange, const bh_request *request) {
  auth *self = instance;
  bh_bytes token;
  if (!token_of(request, &token)) return BH_OK;
  verify_access_token verify = (verify_access_token)dlsym(RTLD_DEFAULT, method);
  bh_identity identity = {.size = sizeof identity};
  if (verify != NULL) {
    return verify(token, &identity) ? self->host->set_identity(exchange, &identity) : BH_OK;
  }
  self->host->set_error(self->context, exchange, view("the auth service has no method auth_service_verify_access_token"));
  return BH_FAULT;
}

static bh_status handle(void *instance, uint32_t handler, bh_exchange *exchange, const bh_request *request) {
  (void)handler;
  (void)request;
  ((auth *)instance)->host->set_body(exchange, view("{\"status\":\"ok\",\"service\":\"auth\"}"));
  return BH_OK;
}

static const bh_plugin table = {
    .size = sizeof(bh_plugin),
    .abi_major = BH_ABI_MAJOR,
    .abi_minor = BH_ABI_MINOR,
    .capabilities = BH_HANDLES_REQUEST | BH_ROUTES | BH_AUTHENTICATES,
    .name = "auth",
    .version = "1.1.0",
    .summary = "Lacks a method",
    .start = start,
    .stop = free,
    .request = request,
    .handle = handle,
};

__attribute__((visibility("default"))) const bh_plugin *bulkhead_plugin(void) { return &table; }
