/* Extension of a plugin: bulkhead.self-test/1
 *
 * A contract check that the plugin runs on itself before its generation serves. */
#ifndef BULKHEAD_SELF_TEST_H
#define BULKHEAD_SELF_TEST_H

#include "plugin.h"

#define BH_SELF_TEST "bulkhead.self-test/1"

typedef struct bh_self_test {
  uint32_t size;

  /* [main] After `start`, before the first request. BH_OK, or BH_FAULT after bh_host.set_error: counts as a failed
   * start. Leaves nothing behind that a client could see. */
  bh_status (*run)(void *instance);
} bh_self_test;

#endif
