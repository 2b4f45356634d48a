#define _GNU_SOURCE
#include "LostHeap.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* The C library's, for what it frees while the next one is looked up. */
extern void __libc_free(void *);
extern void *__libc_realloc(void *, size_t);

/* What the C library puts by without a lock, its smallest blocks (mallopt(3), M_MXFAST). */
enum { FREE_WITHOUT_LOCK = 120 };

static volatile bool is_lost;

void lost_heap_declare(void) { is_lost = true; }

/* Whoever comes after the host: the C library, or an allocator that was preloaded. Looked up at the first call, which is
 * made while libraries are initialised, before there are threads. */
static void first_free(void *block);
static void *first_realloc(void *block, size_t size);
static void (*next_free)(void *) = first_free;
static void *(*next_realloc)(void *, size_t) = first_realloc;

static void find_next(void) {
  next_free = __libc_free;
  next_realloc = __libc_realloc;
  void *freeing = dlsym(RTLD_NEXT, "free"), *reallocating = dlsym(RTLD_NEXT, "realloc");
  if (!freeing || !reallocating) return;
  next_free = (void (*)(void *))freeing;
  next_realloc = (void *(*)(void *, size_t))reallocating;
}

static void first_free(void *block) {
  find_next();
  next_free(block);
}

static void *first_realloc(void *block, size_t size) {
  find_next();
  return next_realloc(block, size);
}

void free(void *block) {
  if (__builtin_expect(is_lost, false) && block && malloc_usable_size(block) > FREE_WITHOUT_LOCK) return;
  next_free(block);
}

void *realloc(void *block, size_t size) {
  if (!__builtin_expect(is_lost, false) || !block || size == 0) return next_realloc(block, size);
  size_t before = malloc_usable_size(block);
  if (size <= before) return block;
  void *larger = malloc(size);
  if (larger) memcpy(larger, block, before);
  return larger;
}
