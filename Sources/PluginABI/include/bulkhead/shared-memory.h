/* Extension of the host: bulkhead.shared-memory/1
 *
 * Memory that outlives the worker: the same bytes in every generation, after swaps and after crashes, until the
 * supervisor ends. The writer before may have died halfway: hold no lock in it that cannot be broken, and use
 * atomics. */
#ifndef BULKHEAD_SHARED_MEMORY_H
#define BULKHEAD_SHARED_MEMORY_H

#include "plugin.h"

#define BH_SHARED_MEMORY "bulkhead.shared-memory/1"

typedef struct bh_shared_memory {
  uint32_t size;

  /* [main, during start] The plugin's region of this name: `count` bytes, aligned to 64, zero when first made.
   * Name the layout's version in `name` ("counters/2"): a region is found again only under the same name and count.
   * Null if there is no room. [static] */
  void *(*region)(bh_context *context, const char *name, size_t count);
} bh_shared_memory;

#endif
