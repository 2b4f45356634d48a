#define _GNU_SOURCE
#include "LostHeap.h"

#include <dlfcn.h>
#include <errno.h>
#include <gnu/libc-version.h>
#include <malloc.h>
#include <stddef.h>
#include <string.h>

/* What the C library puts by without a lock, its smallest blocks (mallopt(3), M_MXFAST). */
enum { FREE_WITHOUT_LOCK = 120 };

/* True if malloc, free and realloc are the C library's. What stands here relies on its heaps, and on its word for the size
 * of a block (malloc_usable_size(3)), which for another allocator's block would be read from anywhere. */
static bool is_guarded;
static volatile bool is_lost;

/* Whoever comes after the host: the C library, or an allocator that was preloaded. Looked up at the first call, which is
 * made while libraries are initialised. */
static void first_free(void *block);
static void *first_realloc(void *block, size_t size);
static void (*next_free)(void *) = first_free;
static void *(*next_realloc)(void *, size_t) = first_realloc;

/* Set while this thread looks them up: what dlsym(3) itself frees then comes back to first_free. */
static __thread bool is_finding __attribute__((tls_model("initial-exec")));

/* The version of these symbols that programs are linked to. */
#if defined(__x86_64__)
#define C_LIBRARY "GLIBC_2.2.5"
#elif defined(__aarch64__)
#define C_LIBRARY "GLIBC_2.17"
#else
#error "which version has malloc on this processor?"
#endif

static const void *image_of(const void *function) {
  Dl_info found;
  return dladdr(function, &found) != 0 ? found.dli_fbase : NULL;
}

/* By the image and not by names such as __libc_free: allocators take those too. */
static bool is_c_library(const void *function) {
  return image_of(function) == image_of((const void *)gnu_get_libc_version);
}

/* What a library that is linked to the C library's `name` would be bound to, were it not for the host. dlsym(3) passes over
 * an allocator with versions of the C library's (libc_malloc_debug.so.0), dlvsym(3) over one without (jemalloc); of two the
 * one counts that memory comes from. */
static void *find(const char *name) {
  void *plain = dlsym(RTLD_NEXT, name), *versioned = dlvsym(RTLD_NEXT, name, C_LIBRARY);
  if (!versioned || versioned == plain) return plain;
  if (!plain || is_c_library(plain)) return versioned;
  if (is_c_library(versioned)) return plain;
  return image_of(versioned) == image_of((const void *)malloc) ? versioned : plain;
}

static void find_next(void) {
  is_finding = true;
  void *freeing = find("free"), *reallocating = find("realloc");
  is_guarded = is_c_library(freeing) && is_c_library(reallocating) && is_c_library((const void *)malloc) &&
               is_c_library((const void *)malloc_usable_size);
  is_finding = false;
  /* Both are there: the C library has them. */
  __atomic_store_n(&next_realloc, (void *(*)(void *, size_t))reallocating, __ATOMIC_RELAXED);
  __atomic_store_n(&next_free, (void (*)(void *))freeing, __ATOMIC_RELAXED);
}

/* Whose the block is cannot be told before the allocator is known, and it may be the very block whose freeing made this
 * thread look: it is left alone. That is a few bytes, once. */
static void first_free(void *block) {
  if (is_finding) return;
  find_next();
  next_free(block);
}

static void *first_realloc(void *block, size_t size) {
  if (is_finding) {
    errno = ENOMEM;
    return NULL;
  }
  find_next();
  return next_realloc(block, size);
}

bool lost_heap_is_guarded(void) {
  if (next_free == first_free) find_next();
  return is_guarded;
}

void lost_heap_declare(void) { is_lost = is_guarded; }

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
