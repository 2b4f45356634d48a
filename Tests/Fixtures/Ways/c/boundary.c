/* The host's functions, called wrongly. */
#define _GNU_SOURCE
#include "ways.h"

#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static const bh_bytes absurd = {.data = "x", .count = SIZE_MAX};
static const bh_bytes missing = {.data = NULL, .count = 8};

/* ---- Past the call */

static const bh_host *kept_host;
static bh_context *kept_context;
static bh_exchange *kept_exchange;
static const bh_request *kept_request;

static void keep(way_call *call) {
  kept_host = call->host, kept_context = call->context;
  kept_exchange = call->exchange, kept_request = call->request;
}

static void *answer_late(void *argument) {
  doze(100);
  kept_host->set_status(kept_exchange, 500);
  kept_host->set_header(kept_exchange, view("X-Late"), view("1"));
  kept_host->set_body(kept_exchange, view("late"));
  kept_host->set_error(kept_context, kept_exchange, view("late"));
  kept_host->log(kept_context, kept_exchange, BH_LOG_INFO, view("late"));
  return argument;
}
static void answer_after_return(way_call *call) { keep(call), on_thread(answer_late, NULL); }

static void *answer_now(void *argument) {
  kept_host->set_header(kept_exchange, view("X-Other-Thread"), view("1"));
  kept_host->set_body(kept_exchange, view("from another thread"));
  return argument;
}
static void answer_on_other_thread(way_call *call) {
  keep(call);
  on_thread(answer_now, NULL);
  doze(20);
}

static void *read_late(void *argument) {
  doze(200);
  volatile char sum = 0;
  for (size_t index = 0; index < kept_request->path.count; index++) sum ^= kept_request->path.data[index];
  for (size_t index = 0; index < kept_request->field_count; index++)
    if (kept_request->fields[index].value.count > 0) sum ^= kept_request->fields[index].value.data[0];
  return argument;
}
static void read_after_return(way_call *call) { keep(call), on_thread(read_late, NULL); }

static void write_to_request(way_call *call) {
  memset((void *)(uintptr_t)call->request->path.data, 'x', call->request->path.count);
  *(size_t *)(uintptr_t)&call->request->field_count = 1000000;
}

/* ---- Arguments */

static void null_arguments(way_call *call) {
  const bh_host *host = call->host;
  bh_exchange *exchange = call->exchange;
  bh_bytes value;
  const bh_bytes none = {0};
  host->extension(call->context, NULL);
  host->set_header(exchange, none, none);
  host->header(exchange, view("X"), NULL);
  host->attribute(exchange, none, &value);
  host->set_problem(exchange, NULL);
  host->set_identity(exchange, NULL);
  host->add_route(call->context, NULL);
  host->log(call->context, NULL, 99, none);
}
static void null_exchange(way_call *call) { call->host->set_status(NULL, 200); }
static void null_context(way_call *call) { call->host->log(NULL, NULL, BH_LOG_INFO, view("x")); }
static void null_random(way_call *call) { call->host->random(NULL, 64); }
static void wild_context(way_call *call) { call->host->log((bh_context *)0x1000, NULL, BH_LOG_INFO, view("x")); }

static void foreign_context(way_call *call) {
  const char *text = getenv("WAYS_FOREIGN_CONTEXT");
  if (text == NULL) return;
  bh_context *other = (bh_context *)(uintptr_t)strtoull(text, NULL, 16);
  call->host->set_error(other, call->exchange, view("said for another plugin"));
  call->host->log(other, call->exchange, BH_LOG_ERROR, view("said for another plugin"));
}

static void absurd_count_in_header(way_call *call) {
  call->host->set_header(call->exchange, view("X-Absurd"), absurd);
}
static void absurd_count_in_body(way_call *call) { call->host->set_body(call->exchange, absurd); }
static void absurd_count_in_log(way_call *call) { call->host->log(call->context, NULL, BH_LOG_INFO, absurd); }
static void absurd_count_in_error(way_call *call) {
  call->host->set_error(call->context, call->exchange, absurd);
  call->result = BH_FAULT;
}
static void missing_bytes(way_call *call) {
  call->host->set_header(call->exchange, view("X-Missing"), missing);
  call->host->set_body(call->exchange, missing);
}
static void absurd_random(way_call *call) { call->host->random(call->context, SIZE_MAX); }

/* ---- Values */

static void bad_header_values(way_call *call) {
  const bh_host *host = call->host;
  bh_exchange *exchange = call->exchange;
  static const char *const values[] = {"\xff\xfe\x80", "a\r\nX-Injected: 1", "a\nb", "\x01\x7f", " edge "};
  for (size_t index = 0; index < sizeof values / sizeof values[0]; index++) {
    host->add_header(exchange, view("X-Value"), view(values[index]));
    host->add_header(exchange, view(values[index]), view("x"));
  }
  host->set_header(exchange, view("X-Nul"), (bh_bytes){.data = "a\0b", .count = 3});
  host->set_header(exchange, view("Content-Length"), view("5"));
  host->set_header(exchange, view("Transfer-Encoding"), view("chunked"));
  host->set_header(exchange, view("Connection"), view("close"));
}
static void ten_thousand_headers(way_call *call) {
  char name[32];
  for (int count = 0; count < 10000; count++) {
    snprintf(name, sizeof name, "X-Way-%d", count);
    call->host->add_header(call->exchange, view(name), view("value"));
  }
}
static void ten_thousand_attributes(way_call *call) {
  char name[32];
  for (int count = 0; count < 10000; count++) {
    snprintf(name, sizeof name, "way.%d", count);
    call->host->set_attribute(call->exchange, view(name), view("value"));
  }
}
static void huge_header(way_call *call) {
  size_t count = (size_t)8 << 20;
  char *text = malloc(count);
  memset(text, 'x', count);
  call->host->set_header(call->exchange, view("X-Huge"), (bh_bytes){.data = text, .count = count});
  free(text);
}
static void huge_body(way_call *call) {
  size_t count = (size_t)256 << 20;
  char *body = mmap(NULL, count, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (body == MAP_FAILED) return;
  call->host->set_body(call->exchange, (bh_bytes){.data = body, .count = count});
  munmap(body, count);
}
static void huge_error(way_call *call) {
  size_t count = (size_t)16 << 20;
  char *text = malloc(count);
  memset(text, '"', count);
  call->host->set_error(call->context, call->exchange, (bh_bytes){.data = text, .count = count});
  call->result = BH_FAULT;
}
static void nonsense_error(way_call *call) {
  static const char text[] = "\"}]}\r\n\033[2J\0\xff\xfe says no";
  call->host->set_error(call->context, call->exchange, (bh_bytes){.data = text, .count = sizeof text - 1});
  call->result = BH_FAULT;
}
static void log_flood(way_call *call) {
  for (int count = 0; count < 100000; count++)
    call->host->log(call->context, call->exchange, BH_LOG_ERROR, view("a line\nand {\"another\": \"one\033[31m\"}"));
}
static void absurd_statuses(way_call *call) {
  static const uint32_t statuses[] = {0, 1, 99, 100, 101, 199, 600, 999, 1000, UINT32_MAX};
  for (size_t index = 0; index < sizeof statuses / sizeof statuses[0]; index++)
    call->host->set_status(call->exchange, statuses[index]);
}
static void broken_problem(way_call *call) {
  const bh_problem problem = {.size = sizeof problem,
                              .status = 9999,
                              .code = view("\"}{\r\n"),
                              .title = view("\xff\xfe"),
                              .detail = view("\"},\"status\":200"),
                              .members = view("\"}{{{,,\"a\":")};
  call->host->set_problem(call->exchange, &problem);
}
static void short_structs(way_call *call) {
  const bh_problem problem = {.size = 4};
  const bh_identity identity = {.size = UINT32_MAX, .scopes = (const bh_bytes *)8, .scope_count = 1};
  call->host->set_problem(call->exchange, &problem);
  call->host->set_identity(call->exchange, &identity);
}
static void absurd_scope_count(way_call *call) {
  const bh_identity identity = {.size = sizeof identity, .subject = view("a"), .scopes = &absurd, .scope_count = SIZE_MAX};
  call->host->set_identity(call->exchange, &identity);
}
static void route_too_late(way_call *call) {
  const bh_route route = {.size = sizeof route, .method = "GET", .pattern = "late", .access = BH_ACCESS_PUBLIC};
  call->host->add_route(call->context, &route);
}

/* ---- Results */

static void unknown_status(way_call *call) { call->result = 77; }
static void absurd_status(way_call *call) { call->result = UINT32_MAX; }
static void respond_at_wrong_time(way_call *call) { call->result = BH_RESPOND; }
static void invalid_status(way_call *call) { call->result = BH_INVALID; }
static void silent_fault(way_call *call) { call->result = BH_FAULT; }
static void stated_fault(way_call *call) {
  call->host->set_error(call->context, call->exchange, view("the price list is empty"));
  call->result = BH_FAULT;
}

/* ---- In start */

static void ten_thousand_of_all(way_call *call) {
  const bh_metrics *metrics = call->host->extension(call->context, BH_METRICS);
  const bh_timers *timers = call->host->extension(call->context, BH_TIMERS);
  const bh_shared_memory *memory = call->host->extension(call->context, BH_SHARED_MEMORY);
  char name[32];
  for (int count = 0; count < 10000; count++) {
    snprintf(name, sizeof name, "way_%d", count);
    const bh_route route = {.size = sizeof route, .method = "GET", .pattern = name, .access = BH_ACCESS_PUBLIC};
    call->host->add_route(call->context, &route);
    if (metrics != NULL) metrics->metric(call->context, BH_COUNTER, name, "one of many");
    if (timers != NULL) timers->make(call->context, (bh_status(*)(void *))abort, NULL);
    if (memory != NULL && count < 1000) memory->region(call->context, name, 4096);
  }
}
static void absurd_region(way_call *call) {
  const bh_shared_memory *memory = call->host->extension(call->context, BH_SHARED_MEMORY);
  memory->region(call->context, "absurd/1", SIZE_MAX);
  memory->region(call->context, "absurd/2", SIZE_MAX - 4096);
  memory->region(call->context, "absurd/3", 0);
  memory->region(call->context, NULL, 64);
}

const way boundary_ways[] = {
    {"answer-after-return", answer_after_return}, {"answer-on-other-thread", answer_on_other_thread},
    {"read-after-return", read_after_return},     {"write-to-request", write_to_request},
    {"null-arguments", null_arguments},           {"null-exchange", null_exchange},
    {"null-context", null_context},               {"null-random", null_random},
    {"wild-context", wild_context},               {"foreign-context", foreign_context},
    {"absurd-count-in-header", absurd_count_in_header},
    {"absurd-count-in-body", absurd_count_in_body}, {"absurd-count-in-log", absurd_count_in_log},
    {"absurd-count-in-error", absurd_count_in_error}, {"missing-bytes", missing_bytes},
    {"absurd-random", absurd_random},             {"bad-header-values", bad_header_values},
    {"ten-thousand-headers", ten_thousand_headers}, {"ten-thousand-attributes", ten_thousand_attributes},
    {"huge-header", huge_header},                 {"huge-body", huge_body},
    {"huge-error", huge_error},                   {"nonsense-error", nonsense_error},
    {"log-flood", log_flood},                     {"absurd-statuses", absurd_statuses},
    {"broken-problem", broken_problem},           {"short-structs", short_structs},
    {"absurd-scope-count", absurd_scope_count},   {"route-too-late", route_too_late},
    {"unknown-status", unknown_status},           {"absurd-status", absurd_status},
    {"respond-at-wrong-time", respond_at_wrong_time}, {"invalid-status", invalid_status},
    {"silent-fault", silent_fault},               {"stated-fault", stated_fault},
    {"ten-thousand-of-all", ten_thousand_of_all}, {"absurd-region", absurd_region},
    {NULL, NULL},
};
