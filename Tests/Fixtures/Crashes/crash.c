/* Middleware that dies as the path ends: in a function that its name says, none of which keeps a frame pointer when compiled
 * with -O2. With -DAT_LOAD it dies in a constructor. */
#define _GNU_SOURCE
#include "bulkhead/plugin.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define APART __attribute__((noinline))

static volatile int depth;

APART static void read_null(void) {
  int *volatile nowhere = 0;
  depth = *nowhere; /* line: null */
  depth++;
}

APART static void jump_to_null(void) {
  void (*volatile nowhere)(void) = 0;
  nowhere(); /* line: jump */
  depth++;
}

APART static void give_up(void) {
  fprintf(stderr, "the cellar is flooded\n");
  abort(); /* line: abort */
}

APART static void free_twice(void) {
  void *volatile block = malloc(2000);
  void *volatile fence = malloc(16);
  free(block);
  free(block); /* line: double */
  free(fence);
}

APART static void wait_for_ever(void) {
  for (;;) pause(); /* line: hang */
}

APART static void say_and_wait(void) {
  fprintf(stderr, "waiting for the key of the cellar\n");
  wait_for_ever();
}

APART static void print_and_give_up(void) {
  printf("the cellar is printed\n");
  abort(); /* line: print */
}

/* The library's constructor crashes while the loader's lock is held, which is never released. */
APART static void open_cellar(void) {
  if (dlopen(getenv("CELLAR"), RTLD_NOW)) depth++; /* line: open */
}

APART static int dig(int deeper) {
  volatile char room[4096];
  /* On one line, as either may touch the stack's end first. */
  return room[deeper & 4095] = (char)deeper, dig(deeper + 1) + room[0]; /* line: dig */
}

APART static void overwrite_stack(void) {
  volatile char *stack = (char *)__builtin_frame_address(0) - 64;
  for (int index = 0; index < 600; index++) stack[index] = 0x41;
  int *volatile nowhere = 0;
  depth = *nowhere; /* line: overwrite */
}

APART static void say_rubbish(void) {
  static const char rubbish[] = "rubbish \x1b[31m \xff\xfe {\"level\": \n\n\r\rmore\n";
  for (int line = 0; line < 50; line++)
    if (write(1 + (line & 1), rubbish, sizeof rubbish - 1) < 0) return;
}

#ifdef AT_LOAD
__attribute__((constructor)) static void begin_badly(void) { give_up(); }
#endif

static bh_status start(const bh_plugin *plugin, const bh_start *start, void **instance) {
  (void)plugin, (void)start;
  *instance = malloc(1);
  return *instance ? BH_OK : BH_FAULT;
}

static int ends(const bh_request *request, const char *word) {
  size_t count = strlen(word);
  return request->path.count >= count && memcmp(request->path.data + request->path.count - count, word, count) == 0;
}

static bh_status request(void *instance, bh_exchange *exchange, const bh_request *request) {
  (void)instance, (void)exchange;
  if (ends(request, "/null")) read_null();
  if (ends(request, "/jump")) jump_to_null();
  if (ends(request, "/abort")) give_up();
  if (ends(request, "/double")) free_twice();
  if (ends(request, "/hang")) wait_for_ever();
  if (ends(request, "/wait")) say_and_wait();
  if (ends(request, "/print")) print_and_give_up();
  if (ends(request, "/open")) open_cellar();
  if (ends(request, "/dig")) depth = dig(1);
  if (ends(request, "/overwrite")) overwrite_stack();
  if (ends(request, "/rubbish")) say_rubbish();
  return BH_OK;
}

static const bh_plugin table = {
    .size = sizeof(bh_plugin), .abi_major = BH_ABI_MAJOR, .abi_minor = BH_ABI_MINOR, .capabilities = BH_HANDLES_REQUEST,
    .name = "crash", .version = "1.0.0", .summary = "Dies as the path ends", .start = start, .request = request};

__attribute__((visibility("default"))) const bh_plugin *bulkhead_plugin(void);
const bh_plugin *bulkhead_plugin(void) { return &table; }
