/* Starts well, and has a thread of its own that ends it a moment later: in every worker that starts it.
 *
 *     -DEXITS=0    the thread crashes
 *     -DEXITS=1    it calls exit(3)
 */
#include "broken.h"

#include <pthread.h>
#include <unistd.h>

static void *run(void *argument) {
  usleep(150000);
  if (EXITS) exit(3);
  *(volatile int *)0 = 1;
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
