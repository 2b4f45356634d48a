/* For the harness: the headers that this was built with, and what malloc(3) has given out. */
#ifndef HARNESS_SHIMS_H
#define HARNESS_SHIMS_H

#include <stddef.h>

/* The text of `bulkhead/NAME`, not terminated; null if there is no such header. [static] */
const char *shim_header(const char *name, size_t *count);

/* Bytes that malloc has given out and not got back (mallinfo2(3)). */
size_t shim_heap_in_use(void);

#endif
