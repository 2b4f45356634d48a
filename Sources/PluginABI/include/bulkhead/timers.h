/* Extension of the host: bulkhead.timers/1
 *
 * Work that no request asks for: cleaning up, refreshing, reporting. The host calls on its pool, so that a fault or a hang
 * there is the plugin's, named and contained as in a handler, and no thread of the plugin's own is needed.
 *
 * Timers fire while their generation serves: not before, however early they were set, and not once the next generation
 * takes over, which has its own. While the plugin is out they do not fire either; those with a period go on once it is
 * back, and one without is lost if its time falls into that. */
#ifndef BULKHEAD_TIMERS_H
#define BULKHEAD_TIMERS_H

#include "plugin.h"

#define BH_TIMERS "bulkhead.timers/1"

/* [plugin] */
typedef struct bh_timer bh_timer;

typedef struct bh_timers {
  uint32_t size;

  /* [main, during start] A timer that is not set. Null if `fire` is, after `start`, or past 64 timers of one plugin.
   *
   * `fire` is called on [pool], with `state`: one call at a time of the same timer, within the plugin's `timeout` (30 s, if none
   * is set). Anything but BH_OK is a fault; `set_error` without an exchange says why. `state` lives until `stop`, which comes
   * after the last call. */
  bh_timer *(*make)(bh_context *context, bh_status (*fire)(void *state), void *state);

  /* [any] Fires after `delay_ns` on CLOCK_MONOTONIC, and from then on each `period_ns`, a millisecond at least; 0: once. In
   * the place of what was set before. Calls that fall due while one is under way are one call, right after it. */
  void (*set)(bh_timer *timer, uint64_t delay_ns, uint64_t period_ns);

  /* [any] Fires no more until it is set again. A call that is under way goes on. */
  void (*cancel)(bh_timer *timer);
} bh_timers;

#endif
