#define _GNU_SOURCE
#include "FaultGuard.h"
#include "LostHeap.h"
#include "StackWalk.h"

#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

_Static_assert(sizeof(guard_frame) == 1024, "frames are laid out by the supervisor too");

static const int faults[] = {SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGSYS};
enum { FAULT_COUNT = sizeof faults / sizeof faults[0] };

bool guard_is_fault_signal(int signal) {
  for (int index = 0; index < FAULT_COUNT; index++)
    if (faults[index] == signal) return true;
  return false;
}

static int notice = -1;
static int supervisor = -1;
static guard_frame *background_frame;
static int is_preparing;
/* A fault ends the process, which waits until somebody has looked at it. */
static int is_dying;
/* Published by their count: handlers read it first. */
static const guard_image *images;
static size_t image_count;
/* The worker itself. What a plugin forks is another process, whatever it has inherited. */
static pid_t worker;
static guard_frame *frames;
static size_t frames_size;

/* Initial-exec: a plain load in the handler, which may not allocate. */
static __thread guard_frame *own_frame __attribute__((tls_model("initial-exec")));
static __thread uintptr_t stack_start __attribute__((tls_model("initial-exec")));
static __thread uintptr_t stack_end __attribute__((tls_model("initial-exec")));
static __thread uint32_t made_by __attribute__((tls_model("initial-exec")));

/* Threads with a frame have one. */
static __thread void *alternate_stack __attribute__((tls_model("initial-exec")));
enum { ALTERNATE_STACK_SIZE = 64 << 10 };

static bool is_forked(void) { return worker != 0 && getpid() != worker; }

enum { FORKED_EXIT_STATUS = 70 };

void guard_park(void) {
  if (is_forked()) _exit(FORKED_EXIT_STATUS);
  for (;;) pause();
}

/* The plugin whose image holds the address: of several sections with one library, the likely one. */
static uint32_t plugin_of(uintptr_t address, uint32_t likely) {
  uint32_t plugin = 0;
  size_t count = __atomic_load_n(&image_count, __ATOMIC_ACQUIRE);
  for (size_t index = 0; index < count; index++) {
    if (address < images[index].start || address >= images[index].end) continue;
    if (images[index].plugin == likely) return likely;
    if (plugin == 0) plugin = images[index].plugin;
  }
  return plugin;
}

static bool find_stack(uintptr_t *start, uintptr_t *end) {
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return false;
  void *address;
  size_t size;
  bool is_known = pthread_attr_getstack(&attributes, &address, &size) == 0;
  if (is_known) {
    *start = (uintptr_t)address;
    *end = *start + size;
  }
  pthread_attr_destroy(&attributes);
  return is_known;
}

static uint64_t monotonic(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void record(guard_frame *frame, int signal, const siginfo_t *info, ucontext_t *context) {
  frame->faulted_at = monotonic();
  frame->signal = signal;
  frame->code = info->si_code;
  frame->address = (uint64_t)(uintptr_t)info->si_addr;
  frame->counter_count = stack_walk(context, frame->counters, GUARD_MAX_COUNTERS, stack_start, stack_end);
}

static void notify(void) {
  uint64_t one = 1;
  ssize_t written = write(notice, &one, sizeof one);
  (void)written; /* the watchdog also looks by itself */
}

/* Nobody's fault but the host's: the process ends as it would have without us. */
static void die(int signal) {
  struct sigaction action = {.sa_handler = SIG_DFL};
  sigaction(signal, &action, 0);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  pthread_sigmask(SIG_UNBLOCK, &set, 0);
  raise(signal);
  _exit(128 + signal);
}

/* Has the supervisor look at what the frame holds, while there is still a process that it is about. */
static void await_look(guard_frame *frame) {
  __atomic_store_n(&frame->thread, (uint32_t)gettid(), __ATOMIC_RELEASE);
  if (supervisor < 0 || send(supervisor, "dying", 5, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) return;
  for (int tries = 0; tries < 250 && __atomic_load_n(&frame->thread, __ATOMIC_ACQUIRE) != 0; tries++)
    nanosleep(&(struct timespec){.tv_nsec = 4000000}, 0);
}

/* True if the fault is to end the process: nobody is served yet, and nobody will be. Should the preparation have come to its
 * end in this very moment, the fault is contained. */
static bool begin_death(void) {
  __atomic_store_n(&is_dying, 1, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&is_preparing, __ATOMIC_SEQ_CST)) return true;
  __atomic_store_n(&is_dying, 0, __ATOMIC_SEQ_CST);
  return false;
}

void guard_announce_death(int control) { supervisor = control; }

static void on_own_thread(guard_frame *frame, int signal, const siginfo_t *info, ucontext_t *context) {
  uint32_t owner = guard_owner(frame);
  if (owner & GUARD_TAKEN) guard_park();
  if (owner == 0 || (owner & GUARD_CRASHED)) die(signal);
  record(frame, signal, info, context);
  if (begin_death()) {
    __atomic_store_n(&frame->owner, owner | GUARD_CRASHED, __ATOMIC_RELEASE);
    await_look(frame);
    die(signal);
  }
  while (!__atomic_compare_exchange_n(
      &frame->owner, &owner, owner | GUARD_CRASHED, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    if (owner & GUARD_TAKEN) guard_park(); /* the watchdog was faster */
  lost_heap_declare();
  notify();
  guard_park();
}

/* There is one frame for all threads that are not ours: another's fault may be on record there until it has been told
 * of. */
static bool claim_background_frame(uint32_t plugin) {
  uint32_t none = 0;
  if (!background_frame || !__atomic_compare_exchange_n(
                               &background_frame->owner, &none, plugin, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    return false;
  background_frame->phase = is_preparing ? GUARD_PHASE_START : 0;
  background_frame->since = background_frame->faulted_at = monotonic();
  return true;
}

/* The plugin of the nearest word in [low, high) that lies in an image. */
static uint32_t plugin_on_stack(uintptr_t low, uintptr_t high) {
  uint32_t plugin = 0;
  for (uintptr_t word = low & ~(uintptr_t)7; plugin == 0 && word + 8 <= high; word += 8)
    plugin = plugin_of(*(const uintptr_t *)word, made_by);
  return plugin;
}

/* A thread of a plugin's own: the program counter, or the nearest frame, lies in its image; without frame pointers, the
 * nearest word near the stack pointer. A thread with none of them on its stack is its who had it made. Where the thread's
 * stack is not known to us, it is taken to reach a little above the stack pointer. */
static void on_other_thread(int signal, const siginfo_t *info, ucontext_t *context) {
  uint64_t counters[GUARD_MAX_COUNTERS];
#if defined(__x86_64__)
  uintptr_t low = (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
#else
  uintptr_t low = (uintptr_t)context->uc_mcontext.sp;
#endif
  if (low < stack_start) low = stack_start; /* it has been used up */
  uintptr_t high = (low | 0xfff) + 1;
  uint32_t count = stack_walk(context, counters, GUARD_MAX_COUNTERS, low, stack_end ? stack_end : high);
  uint32_t plugin = 0;
  for (uint32_t index = 0; index < count && plugin == 0; index++) plugin = plugin_of((uintptr_t)counters[index], made_by);
  if (plugin == 0) plugin = plugin_on_stack(low, high);
  if (plugin == 0) plugin = made_by;
  if (plugin == 0) die(signal);
  for (int tries = is_preparing ? 100 : 0; !claim_background_frame(plugin); tries++) {
    if (tries == 100) guard_park();
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, 0);
  }
  background_frame->signal = signal;
  background_frame->code = info->si_code;
  background_frame->address = (uint64_t)(uintptr_t)info->si_addr;
  background_frame->counter_count = count;
  for (uint32_t index = 0; index < count; index++) background_frame->counters[index] = counters[index];
  __atomic_store_n(&background_frame->owner, plugin | GUARD_CRASHED, __ATOMIC_RELEASE);
  if (begin_death()) {
    await_look(background_frame);
    die(signal);
  }
  lost_heap_declare();
  notify();
  guard_park();
}

void guard_note_signal(int signal) {
  if (is_forked() || signal <= 0) return;
  guard_frame *frame = own_frame ? own_frame : background_frame;
  uint32_t plugin = own_frame ? guard_owner(own_frame) & GUARD_PLUGIN_MASK : made_by;
  if (frame && plugin != 0) frame->sent_signal = plugin << 16 | (uint32_t)signal;
}

static void on_fault(int signal, siginfo_t *info, void *context) {
  stack_walk_recover();
  if (is_forked()) die(signal);
  if (own_frame)
    on_own_thread(own_frame, signal, info, context);
  else
    on_other_thread(signal, info, context);
}

/* Somebody has lost patience with the plugin on this thread, and asks where it stands. The thread goes on as it was. */
static void on_question(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info;
  guard_frame *frame = own_frame;
  if (!frame || is_forked()) return;
  uint32_t owner = guard_owner(frame);
  if ((owner & GUARD_PLUGIN_MASK) == 0 || (owner & GUARD_CRASHED)) return;
  int code = errno;
  uint32_t count = stack_walk(context, frame->counters, GUARD_MAX_COUNTERS, stack_start, stack_end);
  __atomic_store_n(&frame->counter_count, count, __ATOMIC_RELEASE);
  errno = code;
}

bool guard_ask(guard_frame *frame, pid_t process) {
  pid_t thread = (pid_t)__atomic_load_n(&frame->thread, __ATOMIC_ACQUIRE);
  __atomic_store_n(&frame->counter_count, 0, __ATOMIC_RELEASE);
  return thread > 0 && tgkill(process, thread, guard_question()) == 0;
}

int guard_question(void) { return SIGRTMAX - 3; }

/* Of the host's threads the frames tell. */
static bool is_hosts_thread(void) { return own_frame || is_forked() || gettid() == worker; }

static void note_exit(uintptr_t stack, uintptr_t end) {
  uint32_t plugin = plugin_on_stack(stack, end);
  if (plugin == 0) plugin = made_by;
  if (plugin != 0 && claim_background_frame(plugin)) background_frame->has_exited = 1;
}

/* On a thread of the host's that has a plugin on its stack. */
static void note_own_exit(void) {
  if (own_frame && !is_forked() && guard_owner(own_frame) != 0) own_frame->has_exited = 1;
}

/* exit(3) or quick_exit(3). */
static void on_exit_call(void) {
  uintptr_t start, end = stack_end;
  note_own_exit();
  if (is_hosts_thread()) return;
  if (end == 0 && !find_stack(&start, &end)) end = 0;
  note_exit((uintptr_t)__builtin_frame_address(0), end);
}

void guard_note_exit(void) {
  note_own_exit();
  if (is_hosts_thread()) return;
  uintptr_t stack = (uintptr_t)__builtin_frame_address(0);
  note_exit(stack, stack_end ? stack_end : (stack | 0xfff) + 1);
}

/* In a forked child, which has the worker's memory but for the frames: it gets some of its own, in which its one thread
 * has been given up, so that it does not come back from the plugin into the worker's work. */
static void after_fork(void) {
  if (!frames) return;
  void *memory =
      mmap(frames, frames_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (memory == MAP_FAILED) _exit(FORKED_EXIT_STATUS);
  if (own_frame) own_frame->owner = GUARD_TAKEN;
}

static bool install(int signal) {
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigemptyset(&action.sa_mask);
  sigaddset(&action.sa_mask, guard_question());
  return sigaction(signal, &action, 0) == 0;
}

int guard_prepare(guard_frame *background, guard_frame *first, size_t count) {
  is_preparing = 1;
  if (!background_frame &&
      (atexit(on_exit_call) != 0 || at_quick_exit(on_exit_call) != 0 || pthread_atfork(0, 0, after_fork) != 0))
    return -1;
  background_frame = background;
  worker = getpid();
  frames = first;
  frames_size = count * sizeof *first;
  /* Whoever forks by other means than fork(3) has none. */
  if (madvise(frames, frames_size, MADV_DONTFORK) != 0) return -1;
  for (int index = 0; index < FAULT_COUNT; index++)
    if (!install(faults[index])) return -1;
  stack_walk_prepare();
  struct sigaction action = {.sa_sigaction = on_question, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
  sigemptyset(&action.sa_mask);
  sigaddset(&action.sa_mask, guard_question());
  return sigaction(guard_question(), &action, 0);
}

/* ---- What plugins change that is not theirs --------------------------------------------------------------------- */

static const int others[] = {SIGUSR2, SIGALRM, SIGPIPE};
enum { OTHER_COUNT = sizeof others / sizeof others[0] };
static struct sigaction remembered[OTHER_COUNT];
static bool has_remembered;

void guard_remember_handlers(void) {
  for (int index = 0; index < OTHER_COUNT; index++) sigaction(others[index], 0, &remembered[index]);
  has_remembered = true;
}

int guard_mend_handlers(void) {
  int changed = 0;
  struct sigaction now;
  for (int index = 0; index < FAULT_COUNT; index++) {
    if (sigaction(faults[index], 0, &now) != 0) continue;
    if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_fault && (now.sa_flags & SA_ONSTACK)) continue;
    if (changed == 0) changed = faults[index];
    install(faults[index]);
  }
  for (int index = 0; has_remembered && index < OTHER_COUNT; index++) {
    if (sigaction(others[index], 0, &now) != 0 || now.sa_handler == remembered[index].sa_handler) continue;
    if (changed == 0) changed = others[index];
    sigaction(others[index], &remembered[index], 0);
  }
  return changed;
}

bool guard_mend_thread(void) {
  sigset_t wanted, before;
  sigemptyset(&wanted);
  for (int index = 0; index < FAULT_COUNT; index++) sigaddset(&wanted, faults[index]);
  bool was_changed = false;
  if (pthread_sigmask(SIG_UNBLOCK, &wanted, &before) == 0)
    for (int index = 0; index < FAULT_COUNT; index++) was_changed |= sigismember(&before, faults[index]) == 1;
  stack_t alternate;
  if (alternate_stack && sigaltstack(0, &alternate) == 0 && alternate.ss_sp != alternate_stack) {
    alternate = (stack_t){.ss_sp = alternate_stack, .ss_size = ALTERNATE_STACK_SIZE};
    was_changed |= sigaltstack(&alternate, 0) == 0;
  }
  return was_changed;
}

void guard_contain(int eventfd) {
  notice = eventfd;
  __atomic_store_n(&is_preparing, 0, __ATOMIC_SEQ_CST);
  /* A thread of a plugin's own has faulted, and is about to end the process: it does not come to serve. */
  while (__atomic_load_n(&is_dying, __ATOMIC_SEQ_CST)) pause();
}

void guard_set_images(const guard_image *list, size_t count) {
  images = list;
  __atomic_store_n(&image_count, count, __ATOMIC_RELEASE);
}

static void *add_alternate_stack(void) {
  void *memory = mmap(
      0, ALTERNATE_STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) return 0;
  stack_t alternate = {.ss_sp = memory, .ss_size = ALTERNATE_STACK_SIZE};
  if (sigaltstack(&alternate, 0) == 0) return memory;
  munmap(memory, ALTERNATE_STACK_SIZE);
  return 0;
}

int guard_adopt_thread(guard_frame *frame) {
  find_stack(&stack_start, &stack_end);
  alternate_stack = add_alternate_stack();
  if (!alternate_stack) return -1;
  own_frame = frame;
  __atomic_store_n(&frame->thread, (uint32_t)gettid(), __ATOMIC_RELEASE);
  return 0;
}

uint32_t guard_creator(const void *caller) {
  uint32_t plugin = own_frame ? guard_owner(own_frame) & GUARD_PLUGIN_MASK : 0;
  if (plugin == 0) plugin = plugin_of((uintptr_t)caller, made_by);
  return plugin != 0 ? plugin : made_by;
}

void *guard_enter_plugin_thread(uint32_t plugin) {
  made_by = plugin;
  find_stack(&stack_start, &stack_end);
  return add_alternate_stack();
}

void guard_leave_plugin_thread(void *alternate_stack) {
  if (!alternate_stack) return;
  stack_t none = {.ss_flags = SS_DISABLE};
  if (sigaltstack(&none, 0) == 0) munmap(alternate_stack, ALTERNATE_STACK_SIZE);
}

struct extent {
  uintptr_t address, start, end;
};

static int find_extent(struct dl_phdr_info *info, size_t size, void *data) {
  (void)size;
  struct extent *wanted = data;
  uintptr_t start = UINTPTR_MAX, end = 0;
  bool holds = false;
  for (int index = 0; index < info->dlpi_phnum; index++) {
    const ElfW(Phdr) *header = &info->dlpi_phdr[index];
    if (header->p_type != PT_LOAD) continue;
    uintptr_t low = info->dlpi_addr + header->p_vaddr, high = low + header->p_memsz;
    if (wanted->address >= low && wanted->address < high) holds = true;
    if (!(header->p_flags & PF_X)) continue;
    if (low < start) start = low;
    if (high > end) end = high;
  }
  if (!holds) return 0;
  wanted->start = start;
  wanted->end = end;
  return 1;
}

bool guard_image_extent(const void *address, uintptr_t *start, uintptr_t *end) {
  struct extent wanted = {.address = (uintptr_t)address};
  if (dl_iterate_phdr(find_extent, &wanted) == 0 || wanted.end == 0) return false;
  *start = wanted.start;
  *end = wanted.end;
  return true;
}
