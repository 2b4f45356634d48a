/* What of a process stays in memory while it does nothing. */
#ifndef RESIDENT_MEMORY_H
#define RESIDENT_MEMORY_H

/* Holds malloc(3) to giving large blocks back to the kernel as they are freed. By itself it learns from the first large
 * block that is freed to keep all up to its size (mallopt(3), M_MMAP_THRESHOLD): one response of 30 MB, and as much is
 * resident for good. */
void shim_bound_heap(void);

/* Lets go of the pages of code and constants that the start has touched; those that are needed again come back from the
 * page cache (madvise(2), MADV_DONTNEED on read-only mappings of files). */
void shim_release_code(void);

#endif
