/* kill(2), raise(3) and their like as plugins and their libraries find them, since symbols of the executable come first: a
 * plugin that sends its own process a signal that ends or stops it is known by name. */
#define _GNU_SOURCE
#include "FaultGuard.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int kill(pid_t process, int signal) {
  if (process == 0 || process == -1 || process == getpid() || process == -getpgrp()) guard_note_signal(signal);
  return (int)syscall(SYS_kill, process, signal);
}

EXPORT int killpg(pid_t group, int signal) {
  if (group < 0) {
    errno = EINVAL;
    return -1;
  }
  return kill(-group, signal);
}

EXPORT int tgkill(pid_t process, pid_t thread, int signal) {
  if (process == getpid()) guard_note_signal(signal);
  return (int)syscall(SYS_tgkill, process, thread, signal);
}

EXPORT int raise(int signal) { return tgkill(getpid(), gettid(), signal); }

EXPORT int sigqueue(pid_t process, int signal, const union sigval value) {
  typedef int function(pid_t, int, const union sigval);
  static function *next;
  function *found = __atomic_load_n(&next, __ATOMIC_RELAXED);
  if (!found) {
    found = (function *)dlsym(RTLD_NEXT, "sigqueue");
    if (!found) {
      errno = ENOSYS;
      return -1;
    }
    __atomic_store_n(&next, found, __ATOMIC_RELAXED);
  }
  if (process == getpid()) guard_note_signal(signal);
  return found(process, signal, value);
}

EXPORT int pthread_kill(pthread_t thread, int signal) {
  typedef int function(pthread_t, int);
  static function *next;
  function *found = __atomic_load_n(&next, __ATOMIC_RELAXED);
  if (!found) {
    found = (function *)dlsym(RTLD_NEXT, "pthread_kill");
    if (!found) return ENOSYS;
    __atomic_store_n(&next, found, __ATOMIC_RELAXED);
  }
  guard_note_signal(signal);
  return found(thread, signal);
}
