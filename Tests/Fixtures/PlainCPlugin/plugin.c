/* A plugin in plain C, against the header alone: a middleware and a router.
 *
 *     cc -std=c11 -shared -fPIC -fvisibility=hidden -I include -o libPlainCPlugin.so plugin.c
 *
 * The middleware puts the header field X-Plain-C on every response. The router answers, below its mount,
 *     GET hello       a greeting
 *     GET items/{id}  a parameter of the path
 *     POST sum        the sum of the body's bytes
 */
#include "PlainCPlugin.h"
#include "bulkhead/metrics.h"
#include "bulkhead/self-test.h"
#include "bulkhead/timers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

/* What `start` makes, and every other call is handed. Constant once made, so loops may share it without a lock. */
typedef struct plain {
  const bh_host *host;
  bh_context *context;
  char *greeting;
  const bh_metrics *metrics; /* null: this host has none */
  bh_metric *answers;        /* null: likewise, or refused */
  bh_metric *ticks;          /* null: likewise */
} plain;

/* The numbers that the host hands back to `handle`. */
enum { HELLO, ITEM, SUM };

/* ---- Bytes ---------------------------------------------------------------------------------------------------- */

/* A view of a string literal or of any other string that ends with NUL. */
static bh_bytes view(const char *text) {
  return (bh_bytes){.data = text, .count = strlen(text)};
}

static bool equal(bh_bytes bytes, const char *text) {
  size_t count = strlen(text);
  return bytes.count == count && (count == 0 || memcmp(bytes.data, text, count) == 0);
}

/* A copy that ends with NUL; null if there is no memory for it. */
static char *copy(bh_bytes bytes) {
  char *text = malloc(bytes.count + 1);
  if (text == NULL) return NULL;
  if (bytes.count > 0) memcpy(text, bytes.data, bytes.count);
  text[bytes.count] = '\0';
  return text;
}

/* States a reason, and gives the status that goes with it. `exchange` is null outside of requests. */
static bh_status fail(const plain *self, bh_exchange *exchange, const char *reason) {
  self->host->set_error(self->context, exchange, view(reason));
  return BH_FAULT;
}

/* ---- Settings ------------------------------------------------------------------------------------------------- */

static const bh_setting_schema greeting_schema = {
    .size = sizeof(bh_setting_schema),
    .type = BH_SETTING_STRING,
    .name = "greeting",
    .default_value = "Hello from C",
    .help = "what GET hello says, and X-Plain-C holds",
};

static const bh_setting_schema *const schema[] = {&greeting_schema};

/* The host has checked the settings against the schema, and puts the default where the file says nothing. */
static bool read_settings(plain *self, const bh_start *start) {
  for (size_t index = 0; index < start->setting_count; index++) {
    const bh_setting *setting = start->settings[index];
    if (strcmp(setting->name, greeting_schema.name) == 0) self->greeting = copy(setting->text);
  }
  return self->greeting != NULL;
}

/* ---- Start and stop ------------------------------------------------------------------------------------------- */

static bh_status add_routes(const plain *self) {
  const bh_route routes[] = {
      {.size = sizeof(bh_route), .method = "GET", .pattern = "hello", .handler = HELLO},
      {.size = sizeof(bh_route), .method = "GET", .pattern = "items/{id}", .handler = ITEM},
      {.size = sizeof(bh_route), .method = "POST", .pattern = "sum", .handler = SUM},
  };
  for (size_t index = 0; index < sizeof routes / sizeof routes[0]; index++) {
    if (self->host->add_route(self->context, &routes[index]) != BH_OK) {
      return fail(self, NULL, "the host refuses a route");
    }
  }
  return BH_OK;
}

/* An extension may be absent, or older than the header that this was compiled with. */
static void find_metrics(plain *self) {
  const bh_metrics *metrics = self->host->extension(self->context, BH_METRICS);
  if (metrics == NULL || !BH_HAS(metrics, add)) return;
  self->metrics = metrics;
  self->answers = metrics->metric(self->context, BH_COUNTER, "answers_total", "Requests answered by a handler");
  self->ticks = metrics->metric(self->context, BH_COUNTER, "ticks_total", "How often the timer has fired");
}

/* What a timer calls: one call at a time, and none any more once `stop` is called. */
static bh_status tick(void *state) {
  const plain *self = state;
  if (self->metrics != NULL && self->ticks != NULL) self->metrics->add(self->ticks, 1);
  return BH_OK;
}

static void find_timers(plain *self) {
  const bh_timers *timers = self->host->extension(self->context, BH_TIMERS);
  if (timers == NULL || !BH_HAS(timers, cancel)) return;
  bh_timer *timer = timers->make(self->context, tick, self);
  if (timer != NULL) timers->set(timer, 10000000, 100000000);
}

static void stop(void *instance) {
  plain *self = instance;
  free(self->greeting);
  free(self);
}

static bh_status start(const bh_plugin *plugin, const bh_start *start, void **instance) {
  (void)plugin;
  plain *self = calloc(1, sizeof *self);
  if (self == NULL) {
    start->host->set_error(start->context, NULL, view("no memory"));
    return BH_FAULT;
  }
  self->host = start->host;
  self->context = start->context;
  bh_status status =
      read_settings(self, start) ? add_routes(self) : fail(self, NULL, "no memory for the greeting");
  if (status != BH_OK) {
    stop(self); /* the host does not, after a fault */
    return status;
  }
  find_metrics(self);
  find_timers(self);
  *instance = self;
  return BH_OK;
}

/* ---- Requests ------------------------------------------------------------------------------------------------- */

/* The response phase: the response is whole, and may be changed. */
static bh_status response(void *instance, bh_exchange *exchange, const bh_request *request) {
  (void)request;
  const plain *self = instance;
  if (self->host->set_header(exchange, view("X-Plain-C"), view(self->greeting)) != BH_OK) {
    return fail(self, exchange, "the greeting is not a header field's value");
  }
  return BH_OK;
}

/* The value of a path parameter; empty if the pattern has none such. */
static bh_bytes parameter(const bh_request *request, const char *name) {
  for (size_t index = 0; index < request->parameter_count; index++) {
    if (equal(request->parameters[index].name, name)) return request->parameters[index].value;
  }
  return (bh_bytes){.data = NULL, .count = 0};
}

static void answer(const plain *self, bh_exchange *exchange, bh_bytes body) {
  self->host->set_status(exchange, 200);
  self->host->set_header(exchange, view("Content-Type"), view("text/plain; charset=utf-8"));
  self->host->set_body(exchange, body);
}

/* A refusal that is no fault. */
static bh_status refuse_empty_body(const plain *self, bh_exchange *exchange) {
  const bh_problem problem = {
      .size = sizeof problem,
      .status = 422,
      .code = view("empty-body"),
      .detail = view("There is nothing to add up."),
  };
  return self->host->set_problem(exchange, &problem);
}

static bh_status sum(const plain *self, bh_exchange *exchange, const bh_request *request) {
  if (request->body.count == 0) return refuse_empty_body(self, exchange);
  uint64_t total = 0;
  for (size_t index = 0; index < request->body.count; index++) {
    total += (unsigned char)request->body.data[index];
  }
  char text[24];
  int count = snprintf(text, sizeof text, "%" PRIu64, total);
  answer(self, exchange, (bh_bytes){.data = text, .count = (size_t)count});
  return BH_OK;
}

static bh_status handle(void *instance, uint32_t handler, bh_exchange *exchange, const bh_request *request) {
  const plain *self = instance;
  if (self->answers != NULL) self->metrics->add(self->answers, 1);
  switch (handler) {
    case HELLO:
      answer(self, exchange, view(self->greeting));
      return BH_OK;
    case ITEM:
      answer(self, exchange, parameter(request, "id"));
      return BH_OK;
    case SUM:
      return sum(self, exchange, request);
    default:
      return fail(self, exchange, "no such handler");
  }
}

/* ---- Extensions, and the table -------------------------------------------------------------------------------- */

/* Whether the plugin holds what it promises, before a client meets it. */
static bh_status self_test(void *instance) {
  const plain *self = instance;
  if (strpbrk(self->greeting, "\r\n") != NULL) return fail(self, NULL, "the greeting has more than one line");
  return BH_OK;
}

static const bh_self_test self_test_table = {.size = sizeof(bh_self_test), .run = self_test};

static const void *extension(const bh_plugin *plugin, const char *id) {
  (void)plugin;
  return strcmp(id, BH_SELF_TEST) == 0 ? &self_test_table : NULL;
}

static const bh_plugin table = {
    .size = sizeof(bh_plugin),
    .abi_major = BH_ABI_MAJOR,
    .abi_minor = BH_ABI_MINOR,
    .capabilities = BH_HANDLES_RESPONSE | BH_ROUTES,
    .name = "plain-c",
    .version = "1.0.0",
    .summary = "An example in plain C",
    .settings = schema,
    .setting_count = sizeof schema / sizeof schema[0],
    .start = start,
    .stop = stop,
    .response = response,
    .handle = handle,
    .extension = extension,
};

EXPORT const bh_plugin *bulkhead_plugin(void) { return &table; }
