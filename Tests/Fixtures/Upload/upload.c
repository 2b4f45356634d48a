/* A router in C whose handlers read their bodies as they arrive. What one does, its request's fields say:
 *
 *   X-Gate: PATH     waits until this file exists before it reads
 *   X-Take: N        answers after N bytes, whatever is left
 *   X-Piece: N       reads so many bytes at most at once
 *   X-Pause: N       sleeps so many microseconds after each piece
 *   X-Fault: NAME    after X-Take bytes: trap (a bad instruction), wild (reads into no memory), hang, or fault (BH_FAULT)
 *   X-Report: PATH   writes the answer to this file, too
 *
 * Byte I of a body must be that of the pattern; the answer says how many came, where the first wrong one was, and how the
 * reading ended.
 * Compiled with -DON_LOOP it asks for a route on the loop, which no host can grant. */
#include <bulkhead/request-body.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
  const bh_host *host;
  const bh_request_body_host *bodies;
} state;

/* Of a prime length, so that no power of two hides a shift. */
#define PERIOD 65521
static unsigned char pattern[PERIOD];

static char *field(const bh_request *request, const char *name) {
  for (size_t index = 0; index < request->field_count; index++) {
    bh_bytes found = request->fields[index].name, value = request->fields[index].value;
    if (found.count == strlen(name) && memcmp(found.data, name, found.count) == 0)
      return strndup(value.data, value.count);
  }
  return NULL;
}

static size_t number(const bh_request *request, const char *name, size_t otherwise) {
  char *text = field(request, name);
  size_t value = text ? strtoull(text, NULL, 10) : otherwise;
  free(text);
  return value;
}

static void report(const bh_request *request, const char *text) {
  char *path = field(request, "X-Report");
  if (!path) return;
  char temporary[4096];
  snprintf(temporary, sizeof temporary, "%s.new", path);
  FILE *file = fopen(temporary, "w");
  if (file) {
    fputs(text, file);
    fclose(file);
    rename(temporary, path);
  }
  free(path);
}

static bh_status handle(void *instance, uint32_t handler, bh_exchange *exchange, const bh_request *request) {
  (void)handler;
  state *self = instance;
  char *gate = field(request, "X-Gate"), *fault = field(request, "X-Fault");
  while (gate && access(gate, F_OK) != 0) usleep(1000);
  size_t take = number(request, "X-Take", SIZE_MAX), piece = number(request, "X-Piece", 64 << 10);
  size_t pause = number(request, "X-Pause", 0), count = 0;
  long long wrong = -1;
  char *buffer = malloc(piece);
  bh_status status = BH_OK;
  while (count < take) {
    size_t wanted = take - count < piece ? take - count : piece, read = 0;
    status = self->bodies->read(exchange, buffer, wanted, &read);
    if (status != BH_OK || read == 0) break;
    for (size_t index = 0; index < read && wrong < 0; index++)
      if ((unsigned char)buffer[index] != pattern[(count + index) % PERIOD]) wrong = (long long)(count + index);
    count += read;
    if (pause) usleep((useconds_t)pause);
  }
  if (fault) {
    if (strcmp(fault, "trap") == 0) __builtin_trap();
    if (strcmp(fault, "wild") == 0) self->bodies->read(exchange, (void *)8, 1, &count);
    if (strcmp(fault, "hang") == 0)
      while (1) sleep(3600);
    if (strcmp(fault, "fault") == 0) return BH_FAULT;
  }
  char text[256];
  snprintf(
      text, sizeof text, "{\"count\":%zu,\"wrong\":%lld,\"status\":%u,\"error\":%u,\"whole\":%zu}", count, wrong, status,
      self->bodies->error(exchange), request->body.count);
  report(request, text);
  self->host->set_body(exchange, (bh_bytes){text, strlen(text)});
  free(buffer);
  free(gate);
  free(fault);
  return BH_OK;
}

/* On the loop the host itself says why. */
static bh_status refuse(state *self, const bh_start *start) {
#ifndef ON_LOOP
  bh_bytes why = {"the host lacks what it needs", 28};
  start->host->set_error(start->context, NULL, why);
#endif
  (void)start;
  free(self);
  return BH_FAULT;
}

static bh_status start(const bh_plugin *plugin, const bh_start *start, void **instance) {
  (void)plugin;
  for (size_t index = 0; index < PERIOD; index++) pattern[index] = (unsigned char)(index * 131 + (index >> 7));
  state *self = malloc(sizeof *self);
  self->host = start->host;
  self->bodies = start->host->extension(start->context, BH_REQUEST_BODY);
  if (!self->bodies) return refuse(self, start);
#ifdef ON_LOOP
  bh_execution execution = BH_ON_LOOP;
#else
  bh_execution execution = BH_BLOCKING;
#endif
  const struct {
    const char *pattern;
    bh_access access;
    uint64_t limit;
  } routes[] = {
      {"large", BH_ACCESS_PUBLIC, 1ull << 40},
      {"small", BH_ACCESS_PUBLIC, 1000},
      {"default", BH_ACCESS_PUBLIC, 0},
      {"private", BH_ACCESS_AUTHENTICATED, 1ull << 40},
  };
  for (size_t index = 0; index < sizeof routes / sizeof routes[0]; index++) {
    bh_route route = {
        .size = sizeof route, .method = "POST", .pattern = routes[index].pattern, .access = routes[index].access,
        .execution = execution};
    if (self->bodies->add_route(start->context, &route, routes[index].limit) != BH_OK) return refuse(self, start);
  }
  /* One that gets its body whole, beside them. */
  bh_route whole = {
      .size = sizeof whole, .method = "POST", .pattern = "whole", .access = BH_ACCESS_PUBLIC,
      .execution = BH_BLOCKING};
  if (start->host->add_route(start->context, &whole) != BH_OK) return refuse(self, start);
  *instance = self;
  return BH_OK;
}

static void stop(void *instance) { free(instance); }

static const bh_plugin table = {
    .size = sizeof(bh_plugin), .abi_major = BH_ABI_MAJOR, .abi_minor = BH_ABI_MINOR, .capabilities = BH_ROUTES,
    .name = "upload", .version = "1.0.0", .summary = "Reads bodies as they arrive", .start = start, .stop = stop,
    .handle = handle};

const bh_plugin *bulkhead_plugin(void) { return &table; }
