/* Starts well, and has a thread of its own that ends it a moment later: in every worker that starts it.
 *
 *     -DENDS_BY=trap       the thread crashes
 *     -DENDS_BY=overflow   its stack is used up
 *     -DENDS_BY=stray      one that it makes crashes within libc, with nothing of the plugin on its stack
 *     -DENDS_BY=leave      it calls exit(3)
 */
#include "broken.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

static volatile int depth;

__attribute__((unused)) static void trap(void) { *(volatile int *)0 = 1; }

__attribute__((unused)) static void leave(void) { exit(3); }

__attribute__((unused, noinline)) static void overflow(void) {
  volatile char frame[512];
  frame[depth++ & 511] = 1;
  overflow();
  frame[0] = 2;
}

__attribute__((unused)) static void stray(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, (void *(*)(void *))strlen, (void *)1);
  pthread_join(thread, NULL);
}

static void *run(void *argument) {
  usleep(150000);
  ENDS_BY();
  return argument;
}

static bh_status start(const bh_plugin *plugin, const bh_start *start, void **instance) {
  pthread_t thread;
  (void)plugin;
  (void)start;
  *instance = NULL;
  if (pthread_create(&thread, NULL, run, NULL) != 0) return BH_FAULT;
  pthread_detach(thread);
  return BH_OK;
}

static bh_status request(void *instance, bh_exchange *exchange, const bh_request *request) {
  (void)instance;
  (void)exchange;
  (void)request;
  return BH_OK;
}

static const bh_plugin table = {
    .size = sizeof(bh_plugin),
    .abi_major = BH_ABI_MAJOR,
    .name = "own-thread",
    .version = "1.0.0",
    .capabilities = BH_HANDLES_REQUEST,
    .start = start,
    .request = request,
};

const bh_plugin *bulkhead_plugin(void) { return &table; }
