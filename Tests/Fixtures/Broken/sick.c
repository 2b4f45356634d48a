/* Middleware with the faults that memory checkers are for, by the path of the request. The remarks mark the lines. */
#include "broken.h"

#include <pthread.h>

static int shared;

static void *race(void *argument) {
  for (int turn = 0; turn < 1000; turn++) shared++; /* race */
  return argument;
}

static int run_race(void) {
  pthread_t one, two;
  if (pthread_create(&one, NULL, race, NULL) != 0) return 0;
  if (pthread_create(&two, NULL, race, NULL) == 0) pthread_join(two, NULL);
  pthread_join(one, NULL);
  return shared;
}

__attribute__((noinline)) static int overflow(size_t count) {
  char *block = malloc(count);
  if (block == NULL) return 0;
  memset(block, 1, count);
  int beyond = ((volatile char *)block)[count]; /* overflow */
  free(block);
  return beyond;
}

static bool is(bh_bytes path, const char *wanted) {
  return path.count == strlen(wanted) && memcmp(path.data, wanted, path.count) == 0;
}

static bh_status request(void *instance, bh_exchange *exchange, const bh_request *request) {
  (void)instance;
  (void)exchange;
  int sum = 0;
  if (is(request->path, "/overflow")) sum = overflow(request->path.count);
  if (is(request->path, "/race")) sum = run_race();
  if (is(request->path, "/null"))
    *(volatile int *)8 = 1; /* null */
  /* So that nothing is optimised away. */
  return sum == -1234567 ? BH_FAULT : BH_OK;
}

static const bh_plugin table = {
    .size = sizeof(bh_plugin),
    .abi_major = BH_ABI_MAJOR,
    .name = "sick",
    .version = "1.0.0",
    .capabilities = BH_HANDLES_REQUEST,
    .start = start_well,
    .stop = free,
    .request = request,
};

const bh_plugin *bulkhead_plugin(void) { return &table; }
