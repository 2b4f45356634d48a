/* Signals: sent, blocked, handled otherwise, or not at all. */
#define _GNU_SOURCE
#include "ways.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

static void trap(void) { *(volatile char *)nowhere() = 1; }

#define RAISE(number) \
  static void raise_##number(way_call *call) { (void)call, raise(number); }
RAISE(SIGSEGV)
RAISE(SIGBUS)
RAISE(SIGILL)
RAISE(SIGFPE)
RAISE(SIGTRAP)
RAISE(SIGABRT)
RAISE(SIGSYS)
RAISE(SIGTERM)
RAISE(SIGINT)
RAISE(SIGQUIT)
RAISE(SIGHUP)
RAISE(SIGPIPE)
RAISE(SIGUSR1)
RAISE(SIGUSR2)
RAISE(SIGXCPU)
RAISE(SIGXFSZ)
RAISE(SIGCHLD)
RAISE(SIGWINCH)

static void stop_self(way_call *call) { (void)call, raise(SIGSTOP); }
static void stop_group(way_call *call) { (void)call, kill(0, SIGSTOP); }
static void stop_from_terminal(way_call *call) { (void)call, kill(getpid(), SIGTSTP); }
static void kill_self(way_call *call) { (void)call, kill(getpid(), SIGKILL); }
static void kill_group(way_call *call) { (void)call, kill(0, SIGKILL); }
static void term_host(way_call *call) { (void)call, kill(getppid(), SIGTERM); }
static void hup_host(way_call *call) { (void)call, kill(getppid(), SIGHUP); }
static void stop_host(way_call *call) { (void)call, kill(getppid(), SIGSTOP); }
static void alarm_signal(way_call *call) { (void)call, alarm(1); }

static void interval_timer(way_call *call) {
  struct itimerval every = {.it_interval = {.tv_usec = 1000}, .it_value = {.tv_usec = 1000}};
  (void)call;
  setitimer(ITIMER_REAL, &every, NULL);
}

static void real_time_signals(way_call *call) {
  (void)call;
  for (int count = 0; count < 100; count++)
    for (int number = SIGRTMIN; number <= SIGRTMAX; number++) sigqueue(getpid(), number, (union sigval){.sival_int = count});
}

static void block_all(way_call *call) {
  sigset_t all;
  (void)call;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, NULL);
}

/* The kernel ends a process whose thread faults with the signal blocked. */
static void block_and_fault(way_call *call) {
  block_all(call);
  trap();
}

static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGSYS};

static void handle_all(void (*handler)(int), int flags) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
  for (size_t index = 0; index < sizeof fatal / sizeof fatal[0]; index++) sigaction(fatal[index], &action, NULL);
}

static void reset_handlers(way_call *call) { (void)call, handle_all(SIG_DFL, 0); }
static void ignore_signals(way_call *call) { (void)call, handle_all(SIG_IGN, 0); }
static void reset_and_fault(way_call *call) {
  reset_handlers(call);
  trap();
}

static void idle(int number) { (void)number; }
static void own_handlers(way_call *call) { (void)call, handle_all(idle, SA_ONSTACK); }

/* As libraries do that try whether an address is there: the handler comes back with longjmp, and is left installed. */
static sigjmp_buf after_probe;
static void leave(int number) { (void)number, siglongjmp(after_probe, 1); }
static void probe_address(way_call *call) {
  (void)call;
  handle_all(leave, 0);
  if (sigsetjmp(after_probe, 1) == 0) trap();
}
/* The same, and the old handlers are put back: nothing is wrong with that. */
static void probe_address_politely(way_call *call) {
  struct sigaction action = {.sa_handler = leave}, before;
  (void)call;
  sigaction(SIGSEGV, &action, &before);
  if (sigsetjmp(after_probe, 1) == 0) trap();
  sigaction(SIGSEGV, &before, NULL);
}

static void no_alternate_stack(way_call *call) {
  stack_t off = {.ss_flags = SS_DISABLE};
  (void)call;
  sigaltstack(&off, NULL);
}
static int descend(volatile char *above) {
  volatile char here[256];
  here[0] = above ? above[0] : 1;
  return descend(here) + here[0];
}
static void no_alternate_stack_and_overflow(way_call *call) {
  no_alternate_stack(call);
  use((void *)(intptr_t)descend(NULL));
}

static void recurse(int number) { (void)number, use((void *)(intptr_t)descend(NULL)); }
static void recursion_in_handler(way_call *call) {
  (void)call;
  signal(SIGUSR1, recurse);
  raise(SIGUSR1);
}

static void interrupting_handler(way_call *call) {
  struct sigaction action = {.sa_handler = idle};
  sigset_t none;
  (void)call;
  /* Without SA_RESTART: every system call of the host may now end with EINTR. */
  sigaction(SIGALRM, &action, NULL);
  sigemptyset(&none);
  interval_timer(call);
}

const way signal_ways[] = {
    {"raise-SEGV", raise_SIGSEGV}, {"raise-BUS", raise_SIGBUS},   {"raise-ILL", raise_SIGILL},
    {"raise-FPE", raise_SIGFPE},   {"raise-TRAP", raise_SIGTRAP}, {"raise-ABRT", raise_SIGABRT},
    {"raise-SYS", raise_SIGSYS},   {"raise-TERM", raise_SIGTERM}, {"raise-INT", raise_SIGINT},
    {"raise-QUIT", raise_SIGQUIT}, {"raise-HUP", raise_SIGHUP},   {"raise-PIPE", raise_SIGPIPE},
    {"raise-USR1", raise_SIGUSR1}, {"raise-USR2", raise_SIGUSR2}, {"raise-XCPU", raise_SIGXCPU},
    {"raise-XFSZ", raise_SIGXFSZ}, {"raise-CHLD", raise_SIGCHLD}, {"raise-WINCH", raise_SIGWINCH},
    {"stop-self", stop_self},      {"stop-group", stop_group},    {"stop-from-terminal", stop_from_terminal},
    {"kill-self", kill_self},      {"kill-group", kill_group},    {"term-host", term_host},
    {"hup-host", hup_host},        {"stop-host", stop_host},
    {"alarm", alarm_signal},       {"interval-timer", interval_timer},
    {"real-time-signals", real_time_signals},
    {"block-all", block_all},      {"block-and-fault", block_and_fault},
    {"reset-handlers", reset_handlers}, {"ignore-signals", ignore_signals},
    {"reset-and-fault", reset_and_fault}, {"own-handlers", own_handlers},
    {"probe-address", probe_address}, {"probe-address-politely", probe_address_politely},
    {"no-alternate-stack", no_alternate_stack},
    {"no-alternate-stack-and-overflow", no_alternate_stack_and_overflow},
    {"recursion-in-handler", recursion_in_handler}, {"interrupting-handler", interrupting_handler},
    {NULL, NULL},
};
