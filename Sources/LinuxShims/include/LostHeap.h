/* Memory after a thread was lost in a plugin: it may have been within malloc(3), and hold the lock of a heap for good.
 *
 * Others allocate from heaps of their own, and go on. But who frees a block gives it back to the heap that it is from, and
 * would wait for that lock for ever. So free(3) and realloc(3) are the host's own here, in front of the C library's: once
 * a heap may be lost, they leave alone what cannot be given back without a lock. The worker is on its way out by then. */
#ifndef LOST_HEAP_H
#define LOST_HEAP_H

#include <stdbool.h>

/* From now on. Async-signal-safe. Nothing changes if an allocator was preloaded: of its heaps and locks nothing is known
 * here. */
void lost_heap_declare(void);

/* False if an allocator was preloaded, be it of free(3) alone (LD_PRELOAD, ld.so(8)): then a thread that is lost in it may
 * bring others to a standstill, for which the supervisor replaces the worker. */
bool lost_heap_is_guarded(void);

#endif
