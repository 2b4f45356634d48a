/* A middleware and a router that misbehaves in the way that a request names, in `X-Way: NAME`, and when it says, in
 * `X-Way-Phase: request|response|route|blocking|thread|timer|pull`; or as its settings `way` and `phase` say:
 * `start|selftest|stop|timer|thread`; or, while it is loaded, as the file `constructor` in the directory
 * `WAYS_DIRECTORY` of the environment says. Below its mount: GET do, GET blocking, GET stream. */
#define _GNU_SOURCE
#include "ways.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#ifndef WAY_NAME
#define WAY_NAME "way-c"
#endif

typedef struct plugin {
  const bh_host *host;
  bh_context *context;
  const bh_stream_host *streams;
  const bh_timers *timers;
  bh_timer *timer;
  void *region;
  char state_directory[256];
  char way[64];
  char phase[32];
  char asked[64]; /* what the timer, or the thread, was last asked for */
} plugin;

static plugin self;

enum { DO, STREAM };

const way *find_way(const char *name) {
  static const way *const lists[] = {memory_ways,     signal_ways,  ending_ways,   process_ways,
                                     descriptor_ways, waiting_ways, boundary_ways, processor_ways};
  for (size_t list = 0; list < sizeof lists / sizeof lists[0]; list++)
    for (const way *each = lists[list]; each->name != NULL; each++)
      if (strcmp(each->name, name) == 0) return each;
  return NULL;
}

static bh_status go(const char *name, bh_exchange *exchange, const bh_request *request, const bh_start *start) {
  way_call call = {.host = self.host, .context = self.context, .exchange = exchange, .request = request, .start = start};
  call.region = self.region, call.state_directory = self.state_directory;
  const way *found = find_way(name);
  if (found != NULL) found->run(&call);
  return call.result;
}

/* ---- Asked by a request */

static void copy_field(const bh_request *request, const char *name, char *text, size_t size) {
  size_t length = strlen(name);
  text[0] = 0;
  for (size_t index = 0; index < request->field_count; index++) {
    bh_field field = request->fields[index];
    if (field.name.count != length || strncasecmp(field.name.data, name, length) != 0) continue;
    if (field.value.count < size) memcpy(text, field.value.data, field.value.count), text[field.value.count] = 0;
  }
}

static bool asks(const bh_request *request, const char *phase, char *name, size_t size) {
  char asked[32];
  copy_field(request, "X-Way", name, size);
  copy_field(request, "X-Way-Phase", asked, sizeof asked);
  return name[0] != 0 && strcmp(asked, phase) == 0;
}

static bh_status fire(void *state) { return go(state, NULL, NULL, NULL); }
static void *run_later(void *argument) {
  doze(50);
  go(argument, NULL, NULL, NULL);
  return NULL;
}

static bh_status request(void *instance, bh_exchange *exchange, const bh_request *request) {
  char name[64];
  (void)instance;
  return asks(request, "request", name, sizeof name) ? go(name, exchange, request, NULL) : BH_OK;
}

static bh_status response(void *instance, bh_exchange *exchange, const bh_request *request) {
  char name[64];
  (void)instance;
  return asks(request, "response", name, sizeof name) ? go(name, exchange, request, NULL) : BH_OK;
}

/* ---- A stream */

typedef struct stream {
  char name[64];
  int pulls;
} stream;

static bh_pull_result pull(void *state, bh_stream *body, uint64_t *delay_ns) {
  stream *own = state;
  own->pulls++;
  if (strcmp(own->name, "write-too-much") == 0) {
    static char bytes[2 << 20];
    self.streams->write(body, (bh_bytes){.data = bytes, .count = sizeof bytes});
    self.streams->write(body, (bh_bytes){.data = "x", .count = SIZE_MAX});
    return BH_PULL_END;
  }
  self.streams->write(body, view("a piece\n"));
  if (strcmp(own->name, "never-ends") == 0) return BH_PULL_MORE;
  if (strcmp(own->name, "absurd-delay") == 0) return *delay_ns = UINT64_MAX, BH_PULL_LATER;
  if (strcmp(own->name, "absurd-result") == 0) return 99;
  if (own->pulls < 3) return *delay_ns = 1000000, BH_PULL_LATER;
  bh_status result = go(own->name, NULL, NULL, NULL);
  return result == BH_OK ? BH_PULL_END : BH_PULL_FAULT;
}

static void release(void *state) {
  char name[64];
  memcpy(name, ((stream *)state)->name, sizeof name);
  free(state);
  if (strncmp(name, "release-", 8) == 0) go(name + 8, NULL, NULL, NULL);
}

static bh_status open_stream(bh_exchange *exchange, const bh_request *request) {
  stream *own = calloc(1, sizeof *own);
  bh_stream_source source = {.size = sizeof source, .state = own, .pull = pull, .release = release};
  if (own == NULL || self.streams == NULL) return BH_FAULT;
  copy_field(request, "X-Way", own->name, sizeof own->name);
  return self.streams->open(exchange, &source);
}

static bh_status handle(void *instance, uint32_t handler, bh_exchange *exchange, const bh_request *request) {
  char name[64];
  (void)instance;
  if (handler == STREAM) return open_stream(exchange, request);
  self.host->set_body(exchange, view("done"));
  if (asks(request, "route", name, sizeof name)) return go(name, exchange, request, NULL);
  if (asks(request, "blocking", name, sizeof name)) return go(name, exchange, request, NULL);
  if (asks(request, "thread", name, sizeof name)) {
    memcpy(self.asked, name, sizeof name);
    on_thread(run_later, self.asked);
  }
  if (asks(request, "timer", name, sizeof name) && self.timer != NULL) {
    memcpy(self.asked, name, sizeof name);
    self.timers->set(self.timer, 20000000, 0);
  }
  return BH_OK;
}

/* ---- Its life */

static void construct(void) __attribute__((constructor));
static void construct(void) {
  char path[512], name[64] = "";
  const char *directory = getenv("WAYS_DIRECTORY");
  if (directory == NULL) return;
  snprintf(path, sizeof path, "%s/constructor", directory);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  ssize_t count = read(file, name, sizeof name - 1);
  close(file);
  if (count > 0) go(name, NULL, NULL, NULL);
}

static bh_status start(const bh_plugin *table, const bh_start *start, void **instance) {
  const bh_route routes[] = {
      {.size = sizeof routes[0], .method = "GET", .pattern = "do", .access = BH_ACCESS_PUBLIC, .handler = DO},
      {.size = sizeof routes[0], .method = "GET", .pattern = "blocking", .access = BH_ACCESS_PUBLIC,
       .execution = BH_BLOCKING, .handler = DO},
      {.size = sizeof routes[0], .method = "GET", .pattern = "stream", .access = BH_ACCESS_PUBLIC, .handler = STREAM},
  };
  (void)table;
  *instance = &self;
  self.host = start->host, self.context = start->context;
  self.streams = start->host->extension(start->context, BH_STREAM);
  self.timers = start->host->extension(start->context, BH_TIMERS);
  const bh_shared_memory *memory = start->host->extension(start->context, BH_SHARED_MEMORY);
  self.region = memory != NULL ? memory->region(start->context, "way/1", 4096) : NULL;
  self.timer = self.timers != NULL ? self.timers->make(start->context, fire, self.asked) : NULL;
  snprintf(self.state_directory, sizeof self.state_directory, "%s", start->state_directory);
  for (size_t index = 0; index < start->setting_count; index++) {
    const bh_setting *setting = start->settings[index];
    char *text = strcmp(setting->name, "way") == 0 ? self.way : self.phase;
    size_t size = text == self.way ? sizeof self.way : sizeof self.phase;
    if (setting->text.count < size) memcpy(text, setting->text.data, setting->text.count);
  }
  for (size_t index = 0; index < sizeof routes / sizeof routes[0]; index++)
    if (start->host->add_route(start->context, &routes[index]) != BH_OK) return BH_FAULT;
  if (strcmp(self.phase, "thread") == 0) on_thread(run_later, self.way);
  if (strcmp(self.phase, "timer") == 0 && self.timer != NULL) {
    memcpy(self.asked, self.way, sizeof self.asked);
    self.timers->set(self.timer, 20000000, 0);
  }
  return strcmp(self.phase, "start") == 0 ? go(self.way, NULL, NULL, start) : BH_OK;
}

static void stop(void *instance) {
  (void)instance;
  if (strcmp(self.phase, "stop") == 0) go(self.way, NULL, NULL, NULL);
}

static bh_status self_test(void *instance) {
  (void)instance;
  return strcmp(self.phase, "selftest") == 0 ? go(self.way, NULL, NULL, NULL) : BH_OK;
}

static const void *extension(const bh_plugin *table, const char *id) {
  static const bh_self_test test = {.size = sizeof test, .run = self_test};
  (void)table;
  return strcmp(id, BH_SELF_TEST) == 0 ? &test : NULL;
}

static const bh_setting_schema way_setting = {
    .size = sizeof(bh_setting_schema), .type = BH_SETTING_STRING, .name = "way", .help = "how it misbehaves"};
static const bh_setting_schema phase_setting = {
    .size = sizeof(bh_setting_schema), .type = BH_SETTING_STRING, .name = "phase", .help = "when it does"};
static const bh_setting_schema *const settings[] = {&way_setting, &phase_setting};

static const bh_plugin table = {
    .size = sizeof(bh_plugin),
    .abi_major = BH_ABI_MAJOR,
    .abi_minor = BH_ABI_MINOR,
    .capabilities = BH_HANDLES_REQUEST | BH_HANDLES_RESPONSE | BH_ROUTES,
    .name = WAY_NAME,
    .version = "1.0.0",
    .summary = "Misbehaves as it is told",
    .settings = settings,
    .setting_count = 2,
    .start = start,
    .stop = stop,
    .request = request,
    .response = response,
    .handle = handle,
    .extension = extension,
};

__attribute__((visibility("default"))) const bh_plugin *bulkhead_plugin(void) { return &table; }
