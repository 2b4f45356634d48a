/* The program counters of a stack, taken in a signal handler. Async-signal-safe: it takes no lock and allocates nothing. */
#ifndef STACK_WALK_H
#define STACK_WALK_H

#include <stdint.h>

/* To be called once, outside of a signal handler: loads what the unwinder would load at its first call. */
void stack_walk_prepare(void);

/* Program counters from the interrupted instruction outwards, at most `limit` (at least 1) of them; how many.
 *
 * By unwind tables, which C, C++, Rust and Swift code has by default; where these lead no further than the first counter, by
 * the chain of frame pointers, read only within [low, high). To be called in the handler that `context` (a ucontext_t) was
 * given to. A stack that cannot be read ends the walk, provided that the handler calls `stack_walk_recover` first. */
uint32_t stack_walk(void *context, uint64_t *counters, uint32_t limit, uintptr_t low, uintptr_t high);

/* Where the signal, of those whose handler calls it, came from the walk itself: ends the walk, and does not return. */
void stack_walk_recover(void);

#endif
