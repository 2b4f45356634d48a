/* Ends of the process or of a thread, and ways out of a call that are no return. */
#define _GNU_SOURCE
#include "ways.h"

#include <link.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

static void end_exit(way_call *call) { (void)call, exit(3); }
static void end_exit_zero(way_call *call) { (void)call, exit(0); }
static void end_underscore_exit(way_call *call) { (void)call, _exit(3); }
static void end_quick_exit(way_call *call) { (void)call, quick_exit(3); }
static void end_by_system_call(way_call *call) { (void)call, syscall(SYS_exit_group, 3); }
static void end_abort(way_call *call) { (void)call, abort(); }
static void thread_ends(way_call *call) { (void)call, pthread_exit(NULL); }
static void thread_ends_by_system_call(way_call *call) { (void)call, syscall(SYS_exit, 0); }

static void cancel_itself(way_call *call) {
  (void)call;
  pthread_cancel(pthread_self());
  pthread_testcancel();
}

static void divide(way_call *call) {
  volatile int zero = 0;
  (void)call;
  use((void *)(intptr_t)(7 / zero));
}
static void illegal(way_call *call) { (void)call, __builtin_trap(); }
static void breakpoint(way_call *call) {
  (void)call;
#if defined(__x86_64__)
  __asm__ volatile("int3");
#else
  raise(SIGTRAP);
#endif
}
static void privileged(way_call *call) {
  (void)call;
#if defined(__x86_64__)
  __asm__ volatile("hlt");
#else
  __builtin_trap();
#endif
}

/* Within the call it is nobody's business. */
static void jump_within(way_call *call) {
  jmp_buf here;
  (void)call;
  if (setjmp(here) == 0) longjmp(here, 1);
}

/* To a frame that has returned. */
static jmp_buf gone;
static __attribute__((noinline)) int remember(void) { return setjmp(gone); }
static void jump_back(way_call *call) {
  (void)call;
  if (remember() == 0) longjmp(gone, 1);
}

static void hang_at_exit(void) {
  for (;;) pause();
}
static void at_exit_hangs(way_call *call) { (void)call, atexit(hang_at_exit); }
static void trap_at_exit(void) { *(volatile char *)nowhere() = 1; }
static void at_exit_traps(way_call *call) { (void)call, atexit(trap_at_exit); }

/* The loader's lock, which unwinders want, is held meanwhile. */
static int trap_in_loader(struct dl_phdr_info *image, size_t size, void *argument) {
  (void)image, (void)size, (void)argument;
  *(volatile char *)nowhere() = 1;
  return 1;
}
static void trap_with_loader_lock(way_call *call) { (void)call, dl_iterate_phdr(trap_in_loader, NULL); }

static int compare(const void *one, const void *other) {
  (void)one, (void)other;
  *(volatile char *)nowhere() = 1;
  return 0;
}
static void trap_in_callback(way_call *call) {
  int numbers[] = {3, 2, 1};
  (void)call;
  qsort(numbers, 3, sizeof numbers[0], compare);
}

/* A value of the thread's own whose end traps, or hangs. */
static void trap_destroying(void *value) { *(volatile char *)nowhere() = *(char *)value; }
static void thread_value_traps(way_call *call) {
  static pthread_key_t key;
  (void)call;
  if (pthread_key_create(&key, trap_destroying) == 0) pthread_setspecific(key, "x");
}

static void *leave_by_exit(void *argument) { return exit(3), argument; }
static void thread_exit(way_call *call) { (void)call, on_thread(leave_by_exit, NULL); }
static void *leave_by_system_call(void *argument) { return syscall(SYS_exit_group, 3), argument; }
static void thread_vanishes(way_call *call) { (void)call, on_thread(leave_by_system_call, NULL); }
static void *trap_later(void *argument) {
  doze(200);
  *(volatile char *)nowhere() = 1;
  return argument;
}
static void thread_traps_later(way_call *call) { (void)call, on_thread(trap_later, NULL); }

const way ending_ways[] = {
    {"exit", end_exit},
    {"exit-zero", end_exit_zero},
    {"_exit", end_underscore_exit},
    {"quick_exit", end_quick_exit},
    {"exit-by-system-call", end_by_system_call},
    {"abort", end_abort},
    {"pthread_exit", thread_ends},
    {"thread-ends-by-system-call", thread_ends_by_system_call},
    {"cancel-itself", cancel_itself},
    {"divide-by-zero", divide},
    {"illegal-instruction", illegal},
    {"breakpoint", breakpoint},
    {"privileged-instruction", privileged},
    {"jump-within", jump_within},
    {"jump-back", jump_back},
    {"at-exit-hangs", at_exit_hangs},
    {"at-exit-traps", at_exit_traps},
    {"trap-with-loader-lock", trap_with_loader_lock},
    {"trap-in-callback", trap_in_callback},
    {"thread-value-traps", thread_value_traps},
    {"thread-exit", thread_exit},
    {"thread-vanishes", thread_vanishes},
    {"thread-traps-later", thread_traps_later},
    {NULL, NULL},
};
