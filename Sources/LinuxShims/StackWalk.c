#define _GNU_SOURCE
#include "StackWalk.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <ucontext.h>
#include <unwind.h>

/* Initial-exec: a plain load in the handler, which may not allocate. */
static __thread sigjmp_buf *recovery __attribute__((tls_model("initial-exec")));

/* Where the loader has no _dl_find_object (glibc before 2.35) the unwinder looks for tables under a lock of the loader, which
 * the interrupted code may hold. */
static bool finds_tables_without_lock;

struct walk {
  uint64_t *counters;
  uint32_t count, limit;
  /* Counters count from this one on: those before are the handler's. */
  uintptr_t first;
  bool has_begun;
};

static _Unwind_Reason_Code note(struct _Unwind_Context *context, void *argument) {
  struct walk *walk = argument;
  int is_exact = 0;
  uintptr_t counter = _Unwind_GetIPInfo(context, &is_exact);
  if (!walk->has_begun && !(is_exact && counter == walk->first)) return _URC_NO_REASON;
  walk->has_begun = true;
  if (counter == 0) return _URC_END_OF_STACK;
  if (walk->count == walk->limit) return _URC_END_OF_STACK;
  walk->counters[walk->count++] = counter;
  return walk->count < walk->limit ? _URC_NO_REASON : _URC_END_OF_STACK;
}

static _Unwind_Reason_Code stop(struct _Unwind_Context *context, void *argument) {
  (void)context;
  int *left = argument;
  return --*left > 0 ? _URC_NO_REASON : _URC_END_OF_STACK;
}

void stack_walk_prepare(void) {
  finds_tables_without_lock = dlsym(RTLD_DEFAULT, "_dl_find_object") != 0;
  int left = 3;
  if (finds_tables_without_lock) _Unwind_Backtrace(stop, &left);
}

void stack_walk_recover(void) {
  if (recovery) siglongjmp(*recovery, 1);
}

#if defined(__x86_64__)
#define COUNTER(context) (context)->uc_mcontext.gregs[REG_RIP]
#define STACK(context) (context)->uc_mcontext.gregs[REG_RSP]
#define FRAME(context) (context)->uc_mcontext.gregs[REG_RBP]
#elif defined(__aarch64__)
#define COUNTER(context) (context)->uc_mcontext.pc
#define STACK(context) (context)->uc_mcontext.sp
#define FRAME(context) (context)->uc_mcontext.regs[29]
#else
#error "no register names for this processor"
#endif

/* The unwinder reads the registers of the interrupted code from `context` itself. Code that was called at an address where
 * there is none has no table: the walk goes on at its caller, whose registers are put there for as long as that takes. */
static void by_tables(ucontext_t *context, struct walk *walk) {
  walk->first = (uintptr_t)COUNTER(context);
  _Unwind_Backtrace(note, walk);
  if (walk->count > 1) return;
  ucontext_t before = *context;
#if defined(__x86_64__)
  uintptr_t caller = *(const uintptr_t *)STACK(context);
  STACK(context) += 8;
#else
  uintptr_t caller = context->uc_mcontext.regs[30];
#endif
  struct walk rest = {
      .counters = walk->counters + 1, .limit = walk->limit - 1, .first = caller - 1};
  COUNTER(context) = (__typeof__(COUNTER(context)))(caller - 1);
  if (caller > 4096 && rest.limit > 0) _Unwind_Backtrace(note, &rest);
  COUNTER(context) = COUNTER(&before);
  STACK(context) = STACK(&before);
  /* The word on the stack may be anything: it was code only if it has a table, and a caller in turn. */
  if (rest.count < 2) return;
  rest.counters[0] = caller;
  walk->counters[0] = walk->first;
  walk->count = rest.count + 1;
}

/* By the chain of frame pointers, which Swift and -fno-omit-frame-pointer code keep. */
static void by_frame_pointers(const ucontext_t *context, struct walk *walk, uintptr_t low, uintptr_t high) {
  uintptr_t frame = (uintptr_t)FRAME(context), stack = (uintptr_t)STACK(context);
  walk->count = 0;
  walk->counters[walk->count++] = (uintptr_t)COUNTER(context);
  if (stack > low) low = stack;
  while (walk->count < walk->limit && frame >= low && frame + 16 <= high && (frame & 7) == 0) {
    const uintptr_t *pair = (const uintptr_t *)frame;
    if (pair[1] == 0) break;
    walk->counters[walk->count++] = pair[1];
    if (pair[0] <= frame) break;
    low = frame;
    frame = pair[0];
  }
}

uint32_t stack_walk(void *opaque, uint64_t *counters, uint32_t limit, uintptr_t low, uintptr_t high) {
  ucontext_t *context = opaque;
  /* Read after a jump back, so neither may be kept in a register. */
  volatile uintptr_t counter = (uintptr_t)COUNTER(context), stack = (uintptr_t)STACK(context);
  static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGABRT};
  struct walk walk = {.counters = counters, .limit = limit};
  struct walk *volatile kept = &walk;
  sigjmp_buf back;
  /* A fault within the walk comes to its handler, though this may be that very handler. */
  sigset_t open, masked;
  sigemptyset(&open);
  for (unsigned index = 0; index < sizeof faults / sizeof faults[0]; index++) sigaddset(&open, faults[index]);
  sigprocmask(SIG_UNBLOCK, &open, &masked);
  if (finds_tables_without_lock) {
    if (sigsetjmp(back, 1) == 0) {
      recovery = &back;
      by_tables(context, kept);
    } else {
      COUNTER(context) = (__typeof__(COUNTER(context)))counter;
      STACK(context) = (__typeof__(STACK(context)))stack;
    }
    recovery = 0;
  }
  if (kept->count <= 1 && sigsetjmp(back, 1) == 0) {
    recovery = &back;
    by_frame_pointers(context, kept, low, high);
  }
  recovery = 0;
  sigprocmask(SIG_SETMASK, &masked, 0);
  return kept->count;
}
