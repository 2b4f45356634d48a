/* A plugin with one planted defect, chosen by -DDEFECT=n; right with 0. See README.md. */
#define _GNU_SOURCE
#include "bulkhead/plugin.h"
#include "bulkhead/self-test.h"
#include "bulkhead/timers.h"

#include <ctype.h>
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef DEFECT
#define DEFECT 0
#endif
#define IS(n) (DEFECT == (n))
#define EXPORT __attribute__((visibility("default")))

enum {
  RIGHT,
  VERSION_IS_NOT_SEMANTIC,     /* 1 */
  CORS_WITHOUT_REQUEST_PHASE,  /* 2 */
  TABLE_IS_CHANGED,            /* 3 */
  HOSTS_OWN_KEY,               /* 4 */
  DEFAULT_DOES_NOT_PARSE,      /* 5 */
  CRASHES_ON_LONG_SETTING,     /* 6 */
  FAILS_WITHOUT_REASON,        /* 7 */
  LEAKS_WHEN_START_FAILS,      /* 8 */
  THREAD_OUTLIVES_STOP,        /* 9 */
  STATUS_MEANS_NOTHING,        /* 10 */
  CRASHES_WITHOUT_FIELDS,      /* 11 */
  READS_PAST_A_VIEW,           /* 12 */
  WRITES_INTO_A_VIEW,          /* 13 */
  KEEPS_A_VIEW,                /* 14 */
  KEEPS_AN_EXCHANGE,           /* 15 */
  SHARES_A_BUFFER,             /* 16 */
  KEEPS_A_LOCK_ON_ERROR,       /* 17 */
  LEAKS_MEMORY,                /* 18 */
  LEAKS_DESCRIPTORS,           /* 19 */
  LEAKS_THREADS,               /* 20 */
  BLOCKS_THE_LOOP,             /* 21 */
  PRINTS,                      /* 22 */
  TAKES_A_SIGNAL,              /* 23 */
  CHANGES_THE_ENVIRONMENT,     /* 24 */
  LEAVES_A_CHILD,              /* 25 */
  CLAIMS_ANY_EXTENSION,        /* 26 */
  PROBLEM_IS_NO_JSON,          /* 27 */
  SETS_IDENTITY_UNASKED,       /* 28 */
  EXITS_ON_A_METHOD,           /* 29 */
  FAULTS_ON_BAD_INPUT,         /* 30 */
  FAULTS_WITHOUT_REASON,       /* 31 */
  REGISTERS_A_ROUTE_LATE,      /* 32 */
  SECRET_HAS_DEFAULT,          /* 33 */
  BLOCKS_SIGNALS,              /* 34 */
  CRASHES_ON_A_FIELD,          /* 35: not for validate, which cannot guess the field's name */
  TIMER_FAILS_WITHOUT_REASON,  /* 36 */
};

typedef struct instance {
  const bh_host *host;
  bh_context *context;
  char label[64];
  pthread_mutex_t lock;
  pthread_t thread;
  int has_thread;
  bh_bytes kept;
  bh_exchange *kept_exchange;
} instance;

static bh_bytes view(const char *text) {
  return (bh_bytes){.data = text, .count = strlen(text)};
}

static bh_bytes field(const bh_request *request, const char *name) {
  for (size_t index = 0; index < request->field_count; index++) {
    const bh_field *found = &request->fields[index];
    if (found->name.count == strlen(name) && strncasecmp(found->name.data, name, found->name.count) == 0)
      return found->value;
  }
  return (bh_bytes){.data = NULL, .count = 0};
}

/* ---- Settings ------------------------------------------------------------------------------------------------- */

static const bh_setting_schema label_schema = {
    .size = sizeof(bh_setting_schema),
    .type = BH_SETTING_STRING,
    .name = IS(HOSTS_OWN_KEY) ? "timeout" : "label",
    .default_value = "plain",
    .help = "what is said of each response",
};

static const bh_setting_schema delay_schema = {
    .size = sizeof(bh_setting_schema),
    .type = BH_SETTING_DURATION,
    .name = "delay",
    .default_value = IS(DEFAULT_DOES_NOT_PARSE) ? "soon" : "5s",
    .help = "not used",
};

static const bh_setting_schema key_schema = {
    .size = sizeof(bh_setting_schema),
    .type = BH_SETTING_STRING,
    .flags = BH_SETTING_SECRET,
    .name = "key",
    .default_value = IS(SECRET_HAS_DEFAULT) ? "0123456789abcdef0123456789abcdef" : NULL,
    .help = "not used",
};

static const bh_setting_schema *const schema[] = {&label_schema, &delay_schema, &key_schema};

static void read_settings(instance *self, const bh_start *start) {
  for (size_t index = 0; index < start->setting_count; index++) {
    const bh_setting *setting = start->settings[index];
    if (strcmp(setting->name, label_schema.name) != 0) continue;
    if (IS(CRASHES_ON_LONG_SETTING)) {
      char *volatile end = self->label;
      memcpy(end, setting->text.data, setting->text.count); /* whatever its length */
    } else {
      snprintf(self->label, sizeof self->label, "%.*s", (int)setting->text.count, setting->text.data);
    }
  }
}

/* ---- Start and stop ------------------------------------------------------------------------------------------- */

static bh_plugin table;

static void *sleep_long(void *argument) {
  (void)argument;
  sleep(600);
  return NULL;
}

static void *use_later(void *argument) {
  instance *self = argument;
  usleep(20000);
  self->host->set_header(self->kept_exchange, view("X-Late"), view("yes"));
  return NULL;
}

static void on_signal(int number) { (void)number; }

static void start_thread(void *(*function)(void *), void *argument) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, function, argument) == 0) pthread_detach(thread);
}

static bh_status fail(instance *self, const char *reason) {
  if (!IS(FAILS_WITHOUT_REASON)) self->host->set_error(self->context, NULL, view(reason));
  free(self);
  return BH_FAULT;
}

static bh_status tick(void *made) {
  const instance *self = made;
  if (!IS(TIMER_FAILS_WITHOUT_REASON)) self->host->set_error(self->context, NULL, view("it is late"));
  return BH_FAULT;
}

static bh_status start(const bh_plugin *plugin, const bh_start *start, void **made) {
  (void)plugin;
  instance *self = calloc(1, IS(CRASHES_ON_LONG_SETTING) ? 4096 : sizeof *self);
  if (self == NULL) return BH_FAULT;
  self->host = start->host;
  self->context = start->context;
  pthread_mutex_init(&self->lock, NULL);
  read_settings(self, start);
  if (IS(LEAKS_WHEN_START_FAILS)) open("/dev/null", O_RDONLY);

  char path[4096];
  snprintf(path, sizeof path, "%s/defect", start->state_directory);
  int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return fail(self, "the state directory cannot be written to");
  close(file);
  const bh_route routes[] = {
      {.size = sizeof(bh_route), .method = "GET", .pattern = "echo/{id}"},
      {.size = sizeof(bh_route), .method = "POST", .pattern = "items", .handler = 1},
  };
  for (size_t index = 0; index < sizeof routes / sizeof routes[0]; index++)
    if (self->host->add_route(self->context, &routes[index]) != BH_OK) return fail(self, "a route is refused");

  const bh_timers *timers = self->host->extension(self->context, BH_TIMERS);
  if (timers != NULL) timers->make(self->context, tick, self);
  if (IS(TABLE_IS_CHANGED)) table.summary = "Started";
  if (IS(THREAD_OUTLIVES_STOP)) start_thread(sleep_long, NULL);
  if (IS(TAKES_A_SIGNAL)) signal(SIGUSR1, on_signal);
  if (IS(CHANGES_THE_ENVIRONMENT)) {
    setenv("DEFECT", "1", 1);
    umask(0);
    setlocale(LC_ALL, "C.UTF-8");
  }
  if (IS(LEAVES_A_CHILD)) {
    pid_t child = fork();
    if (child == 0) _exit(0);
  }
  *made = self;
  return BH_OK;
}

static void stop(void *made) {
  instance *self = made;
  pthread_mutex_destroy(&self->lock);
  free(self);
}

/* ---- Requests ------------------------------------------------------------------------------------------------- */

static bh_status refuse(instance *self, bh_exchange *exchange) {
  bh_problem problem = {
      .size = sizeof problem,
      .status = 400,
      .code = view("bad-origin"),
      .members = IS(PROBLEM_IS_NO_JSON) ? view("\"seen\": not quoted") : view("\"seen\":true"),
  };
  self->host->set_problem(exchange, &problem);
  return BH_RESPOND;
}

static void misbehave(instance *self, bh_exchange *exchange, const bh_request *request) {
  if (IS(WRITES_INTO_A_VIEW))
    for (size_t index = 0; index < request->path.count; index++)
      ((char *)request->path.data)[index] = (char)tolower(request->path.data[index]);
  if (IS(READS_PAST_A_VIEW)) {
    volatile size_t length = strlen(request->path.data);
    (void)length;
  }
  if (IS(KEEPS_A_VIEW)) {
    volatile char first = 0;
    if (self->kept.count > 0) first = self->kept.data[0];
    (void)first;
    self->kept = request->path;
  }
  if (IS(KEEPS_AN_EXCHANGE)) {
    self->kept_exchange = exchange;
    if (!self->has_thread) {
      self->has_thread = 1;
      pthread_create(&self->thread, NULL, use_later, self);
    }
  }
  if (IS(LEAKS_MEMORY)) {
    char *volatile lost = malloc(200);
    memset(lost, 1, 200);
  }
  if (IS(LEAKS_DESCRIPTORS)) open("/dev/null", O_RDONLY);
  if (IS(LEAKS_THREADS)) start_thread(sleep_long, NULL);
  if (IS(BLOCKS_THE_LOOP)) usleep(60000);
  if (IS(PRINTS)) printf("a request came\n");
  if (IS(SETS_IDENTITY_UNASKED)) {
    bh_identity identity = {.size = sizeof identity, .subject = view("somebody")};
    self->host->set_identity(exchange, &identity);
  }
  if (IS(EXITS_ON_A_METHOD) && request->method == BH_METHOD_OTHER) exit(0);
  if (IS(CRASHES_WITHOUT_FIELDS)) {
    volatile char first = field(request, "Host").data[0];
    (void)first;
  }
  if (IS(CRASHES_ON_A_FIELD) && field(request, "X-Crash").count > 0) *(volatile int *)NULL = 1;
  if (IS(REGISTERS_A_ROUTE_LATE)) {
    const bh_route late = {.size = sizeof late, .method = "GET", .pattern = "late"};
    self->host->add_route(self->context, &late);
  }
  if (IS(BLOCKS_SIGNALS)) {
    sigset_t set;
    sigfillset(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
  }
}

static bh_status request(void *made, bh_exchange *exchange, const bh_request *request) {
  instance *self = made;
  misbehave(self, exchange, request);
  bh_bytes origin = field(request, "Origin");
  if (IS(KEEPS_A_LOCK_ON_ERROR)) {
    pthread_mutex_lock(&self->lock);
    if (origin.count == 1) return refuse(self, exchange);
    pthread_mutex_unlock(&self->lock);
  }
  if (IS(FAULTS_ON_BAD_INPUT) && memchr(request->query.data ? request->query.data : "", '%', request->query.count)) {
    self->host->set_error(self->context, exchange, view("the query cannot be decoded"));
    return BH_FAULT;
  }
  if (IS(FAULTS_WITHOUT_REASON) && request->query.count > 4000) return BH_FAULT;
  if (IS(STATUS_MEANS_NOTHING)) return 7;
  if (origin.count == 1) return refuse(self, exchange);
  return BH_OK;
}

static bh_status response(void *made, bh_exchange *exchange, const bh_request *request) {
  instance *self = made;
  (void)request;
  self->host->set_header(exchange, view("X-Label"), view(self->label[0] == '\0' ? "none" : "set"));
  return BH_OK;
}

static bh_status handle(void *made, uint32_t handler, bh_exchange *exchange, const bh_request *request) {
  instance *self = made;
  static char shared[8192];
  char own[8192];
  char *buffer = IS(SHARES_A_BUFFER) ? shared : own;
  size_t count = 0;
  if (handler == 0 && request->parameter_count == 1) count = request->parameters[0].value.count;
  if (count > sizeof own) count = sizeof own;
  for (size_t index = 0; index < count; index++) {
    buffer[index] = request->parameters[0].value.data[index];
    if (IS(SHARES_A_BUFFER) && index % 8 == 0) sched_yield();
  }
  self->host->set_body(exchange, (bh_bytes){.data = buffer, .count = count});
  return BH_OK;
}

/* ---- Extensions, and the table -------------------------------------------------------------------------------- */

static bh_status self_test(void *made) { return made != NULL ? BH_OK : BH_FAULT; }

static const bh_self_test self_test_table = {.size = sizeof(bh_self_test), .run = self_test};

static const void *extension(const bh_plugin *plugin, const char *id) {
  (void)plugin;
  return IS(CLAIMS_ANY_EXTENSION) || strcmp(id, BH_SELF_TEST) == 0 ? &self_test_table : NULL;
}

static bh_plugin table = {
    .size = sizeof(bh_plugin),
    .abi_major = BH_ABI_MAJOR,
    .abi_minor = BH_ABI_MINOR,
    .capabilities = IS(CORS_WITHOUT_REQUEST_PHASE) ? BH_HANDLES_RESPONSE | BH_ROUTES | BH_DECIDES_CORS
                                                   : BH_HANDLES_REQUEST | BH_HANDLES_RESPONSE | BH_ROUTES,
    .name = "defect",
    .version = IS(VERSION_IS_NOT_SEMANTIC) ? "1.0" : "1.0.0",
    .summary = "Right, or wrong in one way",
    .settings = schema,
    .setting_count = sizeof schema / sizeof schema[0],
    .start = start,
    .stop = stop,
    .request = IS(CORS_WITHOUT_REQUEST_PHASE) ? NULL : request,
    .response = response,
    .handle = handle,
    .extension = extension,
};

EXPORT const bh_plugin *bulkhead_plugin(void) { return &table; }
