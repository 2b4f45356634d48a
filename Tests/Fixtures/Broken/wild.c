/* A router that does to its process, on request, what no plugin should: GET do/DEED answers with what came of it.
 *
 *     -DVERSION='"2.0.0"'   another release of the same
 *     -DBALLAST=64          it holds so many megabytes from the start
 *     -DRESETS_HANDLERS     it resets the handler of SIGSEGV in its start
 *     on-stop = crash       it crashes, or hangs, when it is stopped
 */
#define _GNU_SOURCE
#include "broken.h"

#include <fcntl.h>
#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef VERSION
#define VERSION "1.0.0"
#endif

static const bh_host *host;
static char on_stop[32];

static void trap(void) { *(volatile int *)0 = 1; }

/* ---- Threads of its own */

static void *thread_trap(void *argument) { return trap(), argument; }
static void *thread_exit(void *argument) { return exit(3), argument; }
static void *thread__exit(void *argument) { return _exit(3), argument; }
static void *thread__Exit(void *argument) { return _Exit(3), argument; }
static void *thread_quick_exit(void *argument) { return quick_exit(3), argument; }
/* As no function that could be noticed. */
static void *thread_vanish(void *argument) { return syscall(SYS_exit_group, 3), argument; }

static const struct {
  const char *deed;
  void *(*run)(void *);
} threads[] = {
    {"thread-trap", thread_trap},       {"thread-exit", thread_exit},
    {"thread-_exit", thread__exit},     {"thread-_Exit", thread__Exit},
    {"thread-quick_exit", thread_quick_exit}, {"thread-vanish", thread_vanish},
};

/* ---- Children */

static const char *end_of(pid_t child) {
  static char text[32];
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return "no child";
  if (WIFSIGNALED(status))
    snprintf(text, sizeof text, "signal %d", WTERMSIG(status));
  else
    snprintf(text, sizeof text, "exit %d", WEXITSTATUS(status));
  return text;
}

static const char *child_executes(void) {
  pid_t child = fork();
  if (child == 0) {
    execlp("true", "true", (char *)NULL);
    _exit(99);
  }
  return end_of(child);
}

static const char *child_crashes(void) {
  pid_t child = fork();
  if (child == 0) trap();
  return end_of(child);
}

static const char *child_leaves(void) {
  pid_t child = fork();
  if (child == 0) _exit(5);
  return end_of(child);
}

static const char *child_shares_memory(void) {
  pid_t child = vfork();
  if (child == 0) _exit(6);
  return end_of(child);
}

static const char *child_of_shell(void) {
  static char text[32];
  snprintf(text, sizeof text, "exit %d", WEXITSTATUS(system("exit 7")));
  return text;
}

/* Twice forked, as daemons are: whoever takes orphans becomes its parent, and it ends a moment later. */
static const char *leave_orphan(void) {
  pid_t child = fork();
  if (child == 0) {
    if (fork() != 0) _exit(0);
    setsid();
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    _exit(0);
  }
  return end_of(child);
}

/* It keeps what it has inherited open, until its group ends. */
static const char *child_stays(void) {
  pid_t child = fork();
  for (; child == 0;) pause();
  return child > 0 ? "stays" : "no child";
}

/* ---- Descriptors that are not its own */

static const char *close_links_to(const char *part) {
  char path[64], target[64];
  for (int descriptor = 3; descriptor < 256; descriptor++) {
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    ssize_t count = readlink(path, target, sizeof target - 1);
    if (count <= 0) continue;
    target[count] = 0;
    if (strstr(target, part)) close(descriptor);
  }
  return "closed";
}

static const char *lose_listeners(int is_shut) {
  for (int descriptor = 3; descriptor < 256; descriptor++) {
    int is_listening = 0;
    socklen_t size = sizeof is_listening;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &size) != 0 || !is_listening) continue;
    if (is_shut)
      shutdown(descriptor, SHUT_RDWR);
    else
      close(descriptor);
  }
  return "lost";
}

static const char *truncate_all(void) {
  /* 6 is the log, a file here, which nobody maps. */
  for (int descriptor = 3; descriptor < 256; descriptor++)
    if (descriptor != 6 && ftruncate(descriptor, 0) == 0) return "shortened";
  return "refused";
}

static const char *limit_descriptors(void) {
  struct rlimit limit = {.rlim_cur = 3, .rlim_max = 3};
  return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? "limited" : "refused";
}

/* ---- Signals */

static const char *send_signals(void) {
  const int signals[] = {SIGHUP,  SIGUSR1, SIGUSR2, SIGALRM,   SIGVTALRM, SIGPROF,     SIGXCPU,
                                SIGXFSZ, SIGIO,   SIGPWR,  SIGSTKFLT, SIGPIPE,   SIGRTMIN + 1};
  for (size_t index = 0; index < sizeof signals / sizeof signals[0]; index++) kill(getpid(), signals[index]);
  return "sent";
}

static const char *signal_host(int signal) { return kill(getppid(), signal) == 0 ? "sent" : "refused"; }

/* ---- What is the host's */

static const char *clear_nonblock(void) {
  for (int descriptor = 3; descriptor < 256; descriptor++) {
    int flags = fcntl(descriptor, F_GETFL);
    if (flags >= 0) fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK);
  }
  return "cleared";
}

static const char *reset_handlers(void) {
  signal(SIGSEGV, SIG_DFL);
  signal(SIGILL, SIG_DFL);
  return "reset";
}

static const char *stop_self(void) { return raise(SIGSTOP) == 0 ? "stopped" : "refused"; }

static const char *stop_by_kill(void) { return kill(getpid(), SIGSTOP) == 0 ? "stopped" : "refused"; }
static void *thread_stop(void *argument) { return raise(SIGSTOP), argument; }

static const char *replace_eventfds(void) {
  char path[64], target[64];
  int other = open("/dev/null", O_RDWR);
  for (int descriptor = 3; descriptor < 256; descriptor++) {
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    ssize_t count = readlink(path, target, sizeof target - 1);
    if (count <= 0) continue;
    target[count] = 0;
    if (strstr(target, "eventfd")) dup2(other, descriptor);
  }
  return "replaced";
}

static const char *kill_self(void) { return kill(getpid(), SIGKILL) == 0 ? "killed" : "refused"; }

static const char *execute(void) {
  execl("/bin/sleep", "sleep", "20", (char *)0);
  return "refused";
}

static const char *write_table(void) {
  *(void *volatile *)&((bh_host *)host)->log = NULL;
  return "written";
}

static const char *trap_floats(void) { return feenableexcept(FE_DIVBYZERO) >= 0 ? "trapping" : "refused"; }

static const char *absurd_count(bh_exchange *exchange) {
  host->set_body(exchange, (bh_bytes){.data = "x", .count = SIZE_MAX});
  return "set";
}

static const char *outcome(const char *deed) {
  for (size_t index = 0; index < sizeof threads / sizeof threads[0]; index++) {
    pthread_t thread;
    if (strcmp(deed, threads[index].deed) != 0) continue;
    if (pthread_create(&thread, NULL, threads[index].run, NULL) != 0) return "no thread";
    pthread_detach(thread);
    return "started";
  }
  if (strcmp(deed, "child-executes") == 0) return child_executes();
  if (strcmp(deed, "child-crashes") == 0) return child_crashes();
  if (strcmp(deed, "child-leaves") == 0) return child_leaves();
  if (strcmp(deed, "child-shares-memory") == 0) return child_shares_memory();
  if (strcmp(deed, "child-of-shell") == 0) return child_of_shell();
  if (strcmp(deed, "child-stays") == 0) return child_stays();
  if (strcmp(deed, "leave-orphan") == 0) return leave_orphan();
  if (strcmp(deed, "close-epoll") == 0) return close_links_to("eventpoll");
  if (strcmp(deed, "close-eventfd") == 0) return close_links_to("eventfd");
  if (strcmp(deed, "close-listeners") == 0) return lose_listeners(0);
  if (strcmp(deed, "shut-listeners") == 0) return lose_listeners(1);
  if (strcmp(deed, "truncate-all") == 0) return truncate_all();
  if (strcmp(deed, "limit-descriptors") == 0) return limit_descriptors();
  if (strcmp(deed, "send-signals") == 0) return send_signals();
  if (strcmp(deed, "end-host") == 0) return signal_host(SIGTERM);
  if (strcmp(deed, "clear-nonblock") == 0) return clear_nonblock();
  if (strcmp(deed, "reset-handlers") == 0) return reset_handlers();
  if (strcmp(deed, "stop-self") == 0) return stop_self();
  if (strcmp(deed, "stop-by-kill") == 0) return stop_by_kill();
  if (strcmp(deed, "thread-stop") == 0) {
    pthread_t thread;
    return pthread_create(&thread, NULL, thread_stop, NULL) == 0 ? "started" : "no thread";
  }
  if (strcmp(deed, "replace-eventfds") == 0) return replace_eventfds();
  if (strcmp(deed, "kill-self") == 0) return kill_self();
  if (strcmp(deed, "execute") == 0) return execute();
  if (strcmp(deed, "write-table") == 0) return write_table();
  if (strcmp(deed, "trap-floats") == 0) return trap_floats();
  return "nothing";
}

/* ---- The plugin */

static bh_status handle(void *instance, uint32_t handler, bh_exchange *exchange, const bh_request *request) {
  char deed[64] = "";
  bh_bytes word = request->parameters[0].value;
  (void)instance;
  (void)handler;
  if (word.count < sizeof deed) memcpy(deed, word.data, word.count);
  if (strcmp(deed, "child-returns") == 0) {
    pid_t child = fork();
    if (child == 0) return BH_OK;
    host->set_body(exchange, view(end_of(child)));
    return BH_OK;
  }
  if (strcmp(deed, "free-request") == 0) free((void *)request);
  if (strcmp(deed, "free-exchange") == 0) free(exchange);
  if (strcmp(deed, "absurd-count") == 0) absurd_count(exchange);
  host->set_body(exchange, view(outcome(deed)));
  return BH_OK;
}

#ifdef BALLAST
static char ballast[BALLAST << 20];
static void take_ballast(void) { memset(ballast, 1, sizeof ballast); }
#else
static void take_ballast(void) {}
#endif

static bh_status start(const bh_plugin *plugin, const bh_start *start, void **instance) {
  const bh_route route = {.size = sizeof route, .method = "GET", .pattern = "do/{deed}", .access = BH_ACCESS_PUBLIC};
  (void)plugin;
  *instance = on_stop;
  host = start->host;
  take_ballast();
#ifdef RESETS_HANDLERS
  reset_handlers();
#endif
  for (size_t index = 0; index < start->setting_count; index++) {
    bh_bytes text = start->settings[index]->text;
    if (text.count < sizeof on_stop) memcpy(on_stop, text.data, text.count);
  }
  return host->add_route(start->context, &route);
}

static void stop(void *instance) {
  (void)instance;
  if (strcmp(on_stop, "crash") == 0) trap();
  for (; strcmp(on_stop, "hang") == 0;) pause();
}

static const bh_setting_schema when_stopped = {
    .size = sizeof(bh_setting_schema),
    .type = BH_SETTING_STRING,
    .name = "on-stop",
    .default_value = "end",
    .help = "What it does when it is stopped",
    .choices = "end|crash|hang",
};
static const bh_setting_schema *const settings[] = {&when_stopped};

static const bh_plugin table = {
    .size = sizeof(bh_plugin),
    .abi_major = BH_ABI_MAJOR,
    .abi_minor = BH_ABI_MINOR,
    .capabilities = BH_ROUTES,
    .name = "wild",
    .version = VERSION,
    .summary = "Does what no plugin should",
    .settings = settings,
    .setting_count = 1,
    .start = start,
    .stop = stop,
    .handle = handle,
};

const bh_plugin *bulkhead_plugin(void) { return &table; }
