/* pthread_create(3) as plugins and their libraries find it, since symbols of the executable come first: threads that a
 * plugin makes are known as its own, and have an alternate signal stack, so that their faults have a name too, be it that
 * their stack is used up. Threads made otherwise (clone(2), thrd_create(3)) go without. */
#define _GNU_SOURCE
#include "FaultGuard.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

typedef int create_function(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

struct call {
  void *(*run)(void *);
  void *argument;
  uint32_t plugin;
};

static void *enter(void *pointer) {
  struct call call = *(struct call *)pointer;
  free(pointer);
  void *result;
  pthread_cleanup_push(guard_leave_plugin_thread, guard_enter_plugin_thread(call.plugin));
  result = call.run(call.argument);
  pthread_cleanup_pop(1);
  return result;
}

__attribute__((visibility("default"))) int pthread_create(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument) {
  static create_function *found;
  create_function *create = __atomic_load_n(&found, __ATOMIC_RELAXED);
  if (!create) {
    create = (create_function *)dlsym(RTLD_NEXT, "pthread_create");
    if (!create) return ENOSYS;
    __atomic_store_n(&found, create, __ATOMIC_RELAXED);
  }
  uint32_t plugin = guard_creator(__builtin_return_address(0));
  if (plugin == 0) return create(thread, attributes, run, argument);
  struct call *call = malloc(sizeof *call);
  if (!call) return EAGAIN;
  *call = (struct call){.run = run, .argument = argument, .plugin = plugin};
  int result = create(thread, attributes, enter, call);
  if (result != 0) free(call);
  return result;
}
