/* A plugin that does what a request tells it to, for the tests of the host's core. Compiled by them, several times over:
 *
 *     cc -std=c11 -shared -fPIC -I Sources/PluginABI/include -DCAPABILITIES=… -o libActor.so Tests/Fixtures/Actor/actor.c
 *
 * Every phase adds "NAME.PHASE" as a response field X-Trail, so that the order of phases can be read off the response.
 * Then it carries out each request field `Act: NAME PHASE COMMAND [ARGUMENTS]` that names this instance and phase, in
 * order:
 *
 *     respond STATUS         sets the status and a body, and ends the request phase
 *     fault [MESSAGE]        returns BH_FAULT
 *     status STATUS          sets the status
 *     set NAME VALUE         sets a response field; `add` adds one
 *     fields COUNT           adds so many fields X-Fill
 *     body TEXT              sets the body
 *     problem STATUS CODE    sets a problem, and ends the request phase
 *     identity SUBJECT ROLE  sets the identity
 *     cors                   decides CORS, by leaving every field away
 *     large COUNT            sets a body of so many bytes
 *     stream COUNT SIZE      streams COUNT pieces of SIZE bytes; `endless SIZE` never ends
 *     later NANOSECONDS      streams nothing, and asks to be called again after that time
 *     cut SIZE               streams one piece, then faults
 *     attribute NAME VALUE   sets an attribute; `show NAME` adds it as X-Attribute
 *     block                  waits until `actor_open` is called
 *     crash                  writes to address 0
 *     spin                   changes response and attributes without end, until `actor_open` is called
 */
#define _GNU_SOURCE
#include "bulkhead/bulkhead.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef CAPABILITIES
#define CAPABILITIES (BH_HANDLES_REQUEST | BH_HANDLES_RESPONSE | BH_ROUTES)
#endif

typedef struct actor {
  const bh_host *host;
  bh_context *context;
  const bh_stream_host *stream;
  char name[64];
} actor;

/* What the tests read and steer, through dlsym. */
_Atomic int actor_turns, actor_waiting, actor_released, actor_stopped, actor_started;
static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_change = PTHREAD_COND_INITIALIZER;
static int gate_is_open;

void actor_open(int is_open) {
  pthread_mutex_lock(&gate_lock);
  gate_is_open = is_open;
  pthread_cond_broadcast(&gate_change);
  pthread_mutex_unlock(&gate_lock);
}

static void wait_at_gate(void) {
  actor_waiting++;
  pthread_mutex_lock(&gate_lock);
  while (!gate_is_open) pthread_cond_wait(&gate_change, &gate_lock);
  pthread_mutex_unlock(&gate_lock);
  actor_waiting--;
}

static bh_bytes view(const char *text) { return (bh_bytes){text, strlen(text)}; }

/* ---- Streams ---- */

typedef struct source {
  const actor *self;
  long pieces, size;
  uint64_t delay;
  bool ends_in_fault;
} source;

static bh_pull_result pull(void *state, bh_stream *stream, uint64_t *delay) {
  source *from = state;
  if (from->delay > 0) {
    *delay = from->delay;
    return BH_PULL_LATER;
  }
  if (from->pieces == 0) {
    if (from->ends_in_fault) from->self->host->set_error(from->self->context, 0, view("cut on purpose"));
    return from->ends_in_fault ? BH_PULL_FAULT : BH_PULL_END;
  }
  if (from->pieces > 0) from->pieces--;
  char *bytes = malloc((size_t)from->size);
  memset(bytes, 'x', (size_t)from->size);
  bh_status status = from->self->stream->write(stream, (bh_bytes){bytes, (size_t)from->size});
  free(bytes);
  return status == BH_OK ? BH_PULL_MORE : BH_PULL_FAULT;
}

static void release(void *state) {
  free(state);
  actor_released++;
}

static bh_status open_stream(const actor *self, bh_exchange *exchange, source made) {
  source *state = malloc(sizeof *state);
  *state = made;
  state->self = self;
  bh_stream_source from = {.size = sizeof from, .state = state, .pull = pull, .release = release};
  bh_status status = self->stream->open(exchange, &from);
  if (status != BH_OK) free(state);
  return status;
}

/* ---- Acting ---- */

static int gate_open(void) {
  pthread_mutex_lock(&gate_lock);
  int is_open = gate_is_open;
  pthread_mutex_unlock(&gate_lock);
  return is_open;
}

static void spin(const actor *self, bh_exchange *exchange) {
  static char text[2000];
  memset(text, 'z', sizeof text);
  for (int turn = 0; turn % 512 != 0 || !gate_open(); turn++) {
    char name[16];
    actor_turns++;
    snprintf(name, sizeof name, "n%d", turn % 40);
    self->host->set_attribute(exchange, view(name), (bh_bytes){text, (size_t)(turn % 60)});
    self->host->set_header(exchange, view(name), (bh_bytes){text, (size_t)(turn % 60)});
    self->host->set_body(exchange, (bh_bytes){text, (size_t)(turn % 2000)});
    self->host->set_error(self->context, exchange, (bh_bytes){text, (size_t)(turn % 60)});
  }
}

static void act(const actor *self, bh_exchange *exchange, char *command, bh_status *result) {
  const bh_host *host = self->host;
  char *rest = command;
  char *verb = strsep(&rest, " ");
  char *first = rest ? strsep(&rest, " ") : "";
  if (strcmp(verb, "respond") == 0) {
    host->set_status(exchange, (uint32_t)atoi(first));
    host->set_body(exchange, view(self->name));
    *result = BH_RESPOND;
  } else if (strcmp(verb, "fault") == 0) {
    if (*first) host->set_error(self->context, exchange, view(first));
    *result = BH_FAULT;
  } else if (strcmp(verb, "status") == 0) {
    host->set_status(exchange, (uint32_t)atoi(first));
  } else if (strcmp(verb, "set") == 0) {
    host->set_header(exchange, view(first), view(rest ? rest : ""));
  } else if (strcmp(verb, "add") == 0) {
    host->add_header(exchange, view(first), view(rest ? rest : ""));
  } else if (strcmp(verb, "fields") == 0) {
    for (int count = atoi(first); count > 0; count--) host->add_header(exchange, view("X-Fill"), view("x"));
  } else if (strcmp(verb, "body") == 0) {
    host->set_body(exchange, view(first));
  } else if (strcmp(verb, "problem") == 0) {
    bh_problem problem = {.size = sizeof problem, .status = (uint32_t)atoi(first), .code = view(rest ? rest : "")};
    host->set_problem(exchange, &problem);
    *result = BH_RESPOND;
  } else if (strcmp(verb, "identity") == 0) {
    bh_identity identity = {.size = sizeof identity, .subject = view(first), .role = view(rest ? rest : "")};
    host->set_identity(exchange, &identity);
  } else if (strcmp(verb, "cors") == 0) {
    host->decide_cors(exchange);
  } else if (strcmp(verb, "large") == 0) {
    size_t count = (size_t)atol(first);
    char *bytes = malloc(count);
    memset(bytes, 'y', count);
    host->set_body(exchange, (bh_bytes){bytes, count});
    free(bytes);
  } else if (strcmp(verb, "stream") == 0) {
    open_stream(self, exchange, (source){.pieces = atol(first), .size = atol(rest ? rest : "1")});
  } else if (strcmp(verb, "endless") == 0) {
    open_stream(self, exchange, (source){.pieces = -1, .size = atol(first)});
  } else if (strcmp(verb, "later") == 0) {
    open_stream(self, exchange, (source){.delay = strtoull(first, 0, 10)});
  } else if (strcmp(verb, "cut") == 0) {
    open_stream(self, exchange, (source){.pieces = 1, .size = atol(first), .ends_in_fault = true});
  } else if (strcmp(verb, "block") == 0) {
    wait_at_gate();
  } else if (strcmp(verb, "spin") == 0) {
    spin(self, exchange);
  } else if (strcmp(verb, "attribute") == 0) {
    host->set_attribute(exchange, view(first), view(rest ? rest : ""));
  } else if (strcmp(verb, "show") == 0) {
    bh_bytes value = view("none");
    host->attribute(exchange, view(first), &value);
    host->add_header(exchange, view("X-Attribute"), value);
  } else if (strcmp(verb, "crash") == 0) {
    *(volatile int *)0 = 1;
  }
}

/* The rest of `value` after "NAME PHASE ", or null if it is for somebody else. */
static char *addressed(const actor *self, const char *phase, char *value) {
  char prefix[128];
  int count = snprintf(prefix, sizeof prefix, "%s %s ", self->name, phase);
  return strncmp(value, prefix, (size_t)count) == 0 ? value + count : 0;
}

static bh_status run(const actor *self, const char *phase, bh_exchange *exchange, const bh_request *request) {
  char trail[128];
  snprintf(trail, sizeof trail, "%s.%s", self->name, phase);
  self->host->add_header(exchange, view("X-Trail"), view(trail));
  bh_status result = BH_OK;
  for (size_t index = 0; index < request->field_count; index++) {
    bh_field field = request->fields[index];
    if (field.name.count != 3 || memcmp(field.name.data, "Act", 3) != 0) continue;
    char value[512] = {0};
    memcpy(value, field.value.data, field.value.count < 511 ? field.value.count : 511);
    char *command = addressed(self, phase, value);
    if (command) act(self, exchange, command, &result);
  }
  return result;
}

static bh_status on_request(void *instance, bh_exchange *exchange, const bh_request *request) {
  return run(instance, "request", exchange, request);
}

static bh_status on_response(void *instance, bh_exchange *exchange, const bh_request *request) {
  return run(instance, "response", exchange, request);
}

static bh_status on_route(void *instance, uint32_t handler, bh_exchange *exchange, const bh_request *request) {
  (void)handler;
  bh_status status = run(instance, "route", exchange, request);
  return status == BH_RESPOND ? BH_OK : status;
}

/* ---- The table ---- */

static bh_status start(const bh_plugin *plugin, const bh_start *start, void **instance) {
  actor *self = calloc(1, sizeof *self);
  self->host = start->host;
  self->context = start->context;
  self->stream = start->host->extension(start->context, BH_STREAM);
  snprintf(self->name, sizeof self->name, "%s", start->name);
  static const struct {
    const char *method, *pattern, *role;
    bh_access access;
    bh_execution execution;
  } routes[] = {
      {"GET", "", 0, BH_ACCESS_PUBLIC, BH_ON_LOOP},
      {"GET", "open", 0, BH_ACCESS_PUBLIC, BH_ON_LOOP},
      {"POST", "open", 0, BH_ACCESS_PUBLIC, BH_ON_LOOP},
      {"GET", "private", 0, BH_ACCESS_AUTHENTICATED, BH_ON_LOOP},
      {"GET", "admin", "admin", BH_ACCESS_ROLE, BH_ON_LOOP},
      {"GET", "slow", 0, BH_ACCESS_PUBLIC, BH_BLOCKING},
      {"POST", "slow", 0, BH_ACCESS_PUBLIC, BH_BLOCKING},
      {"GET", "items/{id}", 0, BH_ACCESS_PUBLIC, BH_ON_LOOP},
      {"DELETE", "items/{id}", 0, BH_ACCESS_AUTHENTICATED, BH_ON_LOOP},
  };
  if (plugin->capabilities & BH_ROUTES) {
    for (size_t index = 0; index < sizeof routes / sizeof routes[0]; index++) {
      bh_route route = {
          .size = sizeof route, .method = routes[index].method, .pattern = routes[index].pattern,
          .access = routes[index].access, .role = routes[index].role, .execution = routes[index].execution};
      if (start->host->add_route(start->context, &route) != BH_OK) return BH_FAULT;
    }
  }
  *instance = self;
  actor_started++;
  return BH_OK;
}

static void stop(void *instance) {
  free(instance);
  actor_stopped++;
}

static const bh_plugin table = {
    .size = sizeof(bh_plugin), .abi_major = BH_ABI_MAJOR, .abi_minor = BH_ABI_MINOR, .capabilities = CAPABILITIES,
    .name = "actor", .version = "1.0.0", .summary = "Does what a request tells it to", .start = start, .stop = stop,
    .request = on_request, .response = on_response, .handle = on_route};

const bh_plugin *bulkhead_plugin(void) { return &table; }
