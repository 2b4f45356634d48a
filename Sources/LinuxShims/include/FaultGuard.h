/* The guard around a plugin's frame: what a signal handler may do, and nothing else. Thin C, as it has to be
 * async-signal-safe (signal-safety(7)).
 *
 * Each thread that runs plugins has a frame, in memory that the supervisor shares. While a plugin is on the thread's
 * stack, `owner` names it; whoever changes `owner` from that name decides what becomes of the thread:
 *   - the thread itself, back from the plugin, sets it to 0 and goes on;
 *   - the signal handler, should the plugin trap, adds GUARD_CRASHED, records what it knows, and parks the thread;
 *   - the watchdog, should the plugin not come back, adds GUARD_TAKEN; the thread parks itself if it ever does.
 * Before that, should the call be slow, the watchdog adds GUARD_DETACHED: the thread's loop is given to another thread, and
 * this one goes on with its request alone. */
#ifndef FAULT_GUARD_H
#define FAULT_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define GUARD_DETACHED (1u << 29)
#define GUARD_CRASHED (1u << 30)
#define GUARD_TAKEN (1u << 31)
#define GUARD_PLUGIN_MASK 0xffffu
#define GUARD_MAX_COUNTERS 48
#define GUARD_PHASE_START 3u

/* 1 KiB, in shared memory, zero at first. `owner` and `since` are read and written atomically. */
typedef struct guard_frame {
  uint32_t owner; /* the plugin's index plus 1, with the flags above; 0: none */
  uint32_t phase;         /* of PluginPass.Phase; GUARD_PHASE_START; 4: pull of a stream; 5: timer; 6: stop;
                             7: a blocking handler */
  uint64_t since; /* CLOCK_MONOTONIC, when the plugin was entered */
  uint32_t request_id_count;
  char request_id[108];
  /* Filled in by the handler, before GUARD_CRASHED is seen. */
  int32_t signal;
  int32_t code;
  uint64_t address;
  uint32_t counter_count;
  uint32_t sent_signal; /* to its own process, by a plugin on this thread: its `owner` << 16, and the signal; 0: none */
  uint64_t counters[GUARD_MAX_COUNTERS];
  uint32_t has_lost_loop; /* the thread's own: a call of its was slow, and its loop is another thread's by now */
  uint32_t has_exited;    /* the plugin on the stack has called exit(3) or one of its kind */
  uint64_t faulted_at;    /* CLOCK_MONOTONIC, when the handler caught the fault */
  uint32_t thread; /* gettid(2) of the thread whose frame it is; 0: none yet */
  uint8_t padding[1024 - 556];
} guard_frame;

/* A loaded plugin's code, for faults on threads that are not ours. */
typedef struct guard_image {
  uintptr_t start;
  uintptr_t end;
  uint32_t plugin; /* index plus 1 */
} guard_image;

/* Installs the handler for SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT and SIGSYS. `background` is the frame that takes the
 * record of a fault on a thread without a frame of its own. At first a fault is recorded, for whoever finds the process
 * dead, and ends it: nobody is served yet.
 *
 * `first` and `count` are the frames, whole pages of them. What a plugin forks shares none: a fault there is the child's
 * own, and a child that comes back from the plugin is ended. */
int guard_prepare(guard_frame *background, guard_frame *first, size_t count);

/* Before that, who is about to die of a fault sends the packet "dying" to this socket, and waits a second at most for
 * `guard_let_die`: by then somebody else has looked at what it has recorded. Nothing is sent to what is no socket. */
void guard_announce_death(int control);

static inline void guard_let_die(guard_frame *frame) { __atomic_store_n(&frame->thread, 0, __ATOMIC_RELEASE); }

/* True for a signal that a fault of the process itself raises: those whose handler guard_prepare installs. */
bool guard_is_fault_signal(int signal);

/* From here on a fault is contained: once it is recorded, `eventfd` is written to, and the thread is parked. */
void guard_contain(int eventfd);

/* Sets the handlers of guard_prepare anew where somebody has changed them, and those that were there at
 * guard_remember_handlers: of SIGUSR2, SIGALRM and SIGPIPE.
 *
 * Returns the first signal whose handler had changed; 0 if none had. Any thread. */
int guard_mend_handlers(void);
void guard_remember_handlers(void);

/* The calling thread's signal mask lets the faults' signals through again, and its alternate stack is its own. True if
 * either was not so. */
bool guard_mend_thread(void);

/* The plugin on the calling thread's stack sends `signal` to its own process: that is put on record. Async-signal-safe. */
void guard_note_signal(int signal);

/* The images by which faults on other threads are attributed. `images` is kept; called again as it grows. */
void guard_set_images(const guard_image *images, size_t count);

/* Makes `frame` the calling thread's, and gives the thread an alternate signal stack. */
int guard_adopt_thread(guard_frame *frame);

/* Whose thread one is that code at `caller` makes on the calling thread: the plugin that is on the stack, or this code is
 * of, or had the calling thread made; as its index plus 1, and 0 for the host's own. */
uint32_t guard_creator(const void *caller);

/* Makes the calling thread one of this plugin's, with an alternate signal stack, which is returned for the thread to give
 * back as it ends; NULL if the system has none, and the thread goes on without. */
void *guard_enter_plugin_thread(uint32_t plugin);
void guard_leave_plugin_thread(void *alternate_stack);

/* The calling thread is about to end the process: should a plugin be on its stack, or have made it, that is put on record.
 * Async-signal-safe. */
void guard_note_exit(void);

/* A plugin is about to be on the stack, or has left it. `guard_leave` does not return if the watchdog has taken the
 * frame meanwhile. */
static inline void guard_enter(guard_frame *frame, uint32_t plugin, uint32_t phase, uint64_t now) {
  frame->phase = phase;
  __atomic_store_n(&frame->since, now, __ATOMIC_RELAXED);
  __atomic_store_n(&frame->owner, plugin + 1, __ATOMIC_RELEASE);
}

void guard_park(void) __attribute__((noreturn));

/* What a plugin has left in the processor that is not its own; put right already. */
#define GUARD_LEFT_EXCEPTIONS 1u /* floating-point exceptions that trap: feenableexcept(3) */
#define GUARD_LEFT_FLAGS 2u      /* the direction flag, or checks of alignment */

uint32_t guard_mend_processor(void);

/* True if the processor is as the calling convention has it: the cheap question. */
static inline bool guard_is_processor_well(void) {
#if defined(__x86_64__)
  /* The direction flag and AC; the masks, the rounding mode, and what flushes small numbers to zero. */
  return (__builtin_ia32_readeflags_u64() & 0x40400) == 0 && (__builtin_ia32_stmxcsr() & 0xffc0) == 0x1f80;
#elif defined(__aarch64__)
  uint64_t control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  return (control & 0x7c09f00) == 0;
#endif
}

/* Returns what was left behind: GUARD_LEFT_EXCEPTIONS and GUARD_LEFT_FLAGS. */
static inline uint32_t guard_leave(guard_frame *frame) {
  uint32_t left = __builtin_expect(guard_is_processor_well(), 1) ? 0 : guard_mend_processor();
  uint32_t owner = __atomic_exchange_n(&frame->owner, 0, __ATOMIC_ACQ_REL);
  if (__builtin_expect(owner & GUARD_TAKEN, 0)) {
    __atomic_store_n(&frame->owner, owner, __ATOMIC_RELEASE);
    guard_park();
  }
  if (__builtin_expect(owner & GUARD_DETACHED, 0)) frame->has_lost_loop = 1;
  return left;
}

/* The watchdog's: takes the frame from `owner`. False if the plugin came back, or crashed, in that instant. */
static inline bool guard_take(guard_frame *frame, uint32_t owner) {
  return __atomic_compare_exchange_n(
      &frame->owner, &owner, owner | GUARD_TAKEN, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* The watchdog's: the thread's loop goes to another thread. False if the plugin came back, or crashed, in that instant. */
static inline bool guard_detach(guard_frame *frame, uint32_t owner) {
  return __atomic_compare_exchange_n(
      &frame->owner, &owner, owner | GUARD_DETACHED, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* Asks the frame's thread, of that process, to put its program counters into the frame. It answers at once, or never, as one
 * that blocks all signals: `counter_count` is not 0 any more when it has. False if it cannot be asked. */
bool guard_ask(guard_frame *frame, pid_t process);

/* The signal by which it is asked. */
int guard_question(void);

static inline uint32_t guard_counter_count(const guard_frame *frame) {
  return __atomic_load_n(&frame->counter_count, __ATOMIC_ACQUIRE);
}

/* The frame is free for the next: what it held has been told of, and its thread does not come back. */
static inline void guard_clear(guard_frame *frame) { __atomic_store_n(&frame->owner, 0, __ATOMIC_RELEASE); }

static inline uint32_t guard_owner(const guard_frame *frame) {
  return __atomic_load_n(&frame->owner, __ATOMIC_ACQUIRE);
}

static inline uint64_t guard_since(const guard_frame *frame) {
  return __atomic_load_n(&frame->since, __ATOMIC_RELAXED);
}

/* The extent of the code that holds `address` (dl_iterate_phdr(3)); false if none does. */
bool guard_image_extent(const void *address, uintptr_t *start, uintptr_t *end);

#endif
