/* Processes made, and what belongs to the whole process: limits, names, directories, environment, rights. */
#define _GNU_SOURCE
#include "ways.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <linux/seccomp.h>
#include <unistd.h>

/* ---- Children */

static void fork_and_wait(way_call *call) {
  pid_t child = fork();
  (void)call;
  if (child == 0) _exit(0);
  waitpid(child, NULL, 0);
}
/* Both come back; the host ends the child. */
static void fork_and_return(way_call *call) { (void)call, fork(); }
static void fork_twenty(way_call *call) {
  (void)call;
  for (int count = 0; count < 20; count++)
    if (fork() == 0) {
      sleep(2);
      _exit(0);
    }
}
static void fork_and_trap(way_call *call) {
  (void)call;
  if (fork() == 0) *(volatile char *)nowhere() = 1;
}
static void fork_and_hang(way_call *call) {
  (void)call;
  if (fork() == 0)
    for (;;) pause();
}
static void vfork_and_end(way_call *call) {
  (void)call;
  if (vfork() == 0) _exit(0);
}
static void reap_all(way_call *call) {
  (void)call;
  while (waitpid(-1, NULL, WNOHANG) > 0) {
  }
}
static void execute(way_call *call) {
  (void)call;
  execl("/bin/sleep", "sleep", "60", (char *)NULL);
}
static void daemonize(way_call *call) { (void)call, (void)!daemon(1, 1); }
static void new_session(way_call *call) { (void)call, setsid(), setpgid(0, 0); }
static void shell(way_call *call) { (void)call, (void)!system("kill -9 $$"); }

/* ---- Threads */

static void *idle(void *argument) {
  doze(1500);
  return argument;
}
static void thousand_threads(way_call *call) {
  pthread_attr_t small;
  pthread_t thread;
  (void)call;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 65536);
  pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
  for (int count = 0; count < 1000; count++) pthread_create(&thread, &small, idle, NULL);
}

/* ---- Limits */

static void limit(int resource, rlim_t most) {
  struct rlimit value = {.rlim_cur = most, .rlim_max = most};
  setrlimit(resource, &value);
}
static void limit_descriptors(way_call *call) { (void)call, limit(RLIMIT_NOFILE, 0); }
static void limit_core(way_call *call) { (void)call, limit(RLIMIT_CORE, 0); }
static void limit_memory(way_call *call) { (void)call, limit(RLIMIT_AS, 1 << 20); }
static void limit_stack(way_call *call) { (void)call, limit(RLIMIT_STACK, 65536); }
static void limit_file_size(way_call *call) { (void)call, limit(RLIMIT_FSIZE, 0); }
static void limit_threads(way_call *call) { (void)call, limit(RLIMIT_NPROC, 0); }
static void limit_processor_time(way_call *call) {
  struct rlimit value = {.rlim_cur = 1, .rlim_max = RLIM_INFINITY};
  (void)call;
  setrlimit(RLIMIT_CPU, &value);
}

/* ---- What the process is */

static void change_directory(way_call *call) { (void)call, (void)!chdir("/proc/self/fd"); }
static void change_root(way_call *call) { (void)call, (void)!chroot("/proc/self/fdinfo"); }
static void file_mode_mask(way_call *call) { (void)call, umask(0777); }
static void change_user(way_call *call) { (void)call, (void)!setgid(65534), (void)!setuid(65534); }

static void *churn_environment(void *argument) {
  char name[32];
  for (int turn = 0; turn < 20000; turn++) {
    snprintf(name, sizeof name, "WAY_%d", turn % 400);
    setenv(name, "a value that is long enough to need another place", 1);
    if (turn % 3 == 0) unsetenv(name);
  }
  return argument;
}
static void race_over_environment(way_call *call) {
  (void)call;
  for (int count = 0; count < 4; count++) on_thread(churn_environment, NULL);
}
static void clear_environment(way_call *call) { (void)call, clearenv(); }
static void point_environment_nowhere(way_call *call) {
  (void)call;
  environ = NULL;
}
static void change_locale(way_call *call) {
  (void)call;
  setlocale(LC_ALL, "C.UTF-8");
  setenv("TZ", "Asia/Kathmandu", 1);
  if (setlocale(LC_ALL, "de_DE.UTF-8") == NULL) setlocale(LC_ALL, "tr_TR.UTF-8");
}

static void name_process(way_call *call) { (void)call, prctl(PR_SET_NAME, "\033[31m\n) R 1 1"); }
static void not_dumpable(way_call *call) { (void)call, prctl(PR_SET_DUMPABLE, 0); }
static void end_with_thread(way_call *call) { (void)call, prctl(PR_SET_PDEATHSIG, 0); }
static void take_orphans(way_call *call) { (void)call, prctl(PR_SET_CHILD_SUBREAPER, 1); }
static void other_personality(way_call *call) { (void)call, personality(ADDR_NO_RANDOMIZE | READ_IMPLIES_EXEC); }
static void be_nice(way_call *call) { (void)call, (void)!nice(5); }
static void batch_scheduling(way_call *call) {
  struct sched_param none = {.sched_priority = 0};
  (void)call;
  sched_setscheduler(0, SCHED_BATCH, &none);
}
static void one_processor(way_call *call) {
  cpu_set_t one;
  (void)call;
  CPU_ZERO(&one);
  CPU_SET(0, &one);
  sched_setaffinity(0, sizeof one, &one);
}

/* Each signal now stops the thread until its tracer, the supervisor, lets it go on. */
static void be_traced(way_call *call) { (void)call, ptrace(PTRACE_TRACEME, 0, NULL, NULL); }
static void be_traced_and_signalled(way_call *call) {
  be_traced(call);
  raise(SIGUSR1);
}

static void strict_system_calls(way_call *call) {
  (void)call;
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
}

static void own_descriptor_table(way_call *call) { (void)call, unshare(CLONE_FILES); }
static void own_mounts(way_call *call) { (void)call, unshare(CLONE_NEWNS | CLONE_FS); }
static void own_network(way_call *call) { (void)call, unshare(CLONE_NEWNET); }

const way process_ways[] = {
    {"fork-and-wait", fork_and_wait},     {"fork-and-return", fork_and_return},
    {"fork-twenty", fork_twenty},         {"fork-and-trap", fork_and_trap},
    {"fork-and-hang", fork_and_hang},     {"vfork-and-end", vfork_and_end},
    {"reap-all", reap_all},               {"execute", execute},
    {"daemonize", daemonize},             {"new-session", new_session},
    {"shell", shell},                     {"thousand-threads", thousand_threads},
    {"limit-descriptors", limit_descriptors}, {"limit-core", limit_core},
    {"limit-memory", limit_memory},       {"limit-stack", limit_stack},
    {"limit-file-size", limit_file_size}, {"limit-threads", limit_threads},
    {"limit-processor-time", limit_processor_time},
    {"change-directory", change_directory}, {"change-root", change_root},
    {"file-mode-mask", file_mode_mask},   {"change-user", change_user},
    {"race-over-environment", race_over_environment}, {"clear-environment", clear_environment},
    {"point-environment-nowhere", point_environment_nowhere},
    {"change-locale", change_locale},     {"name-process", name_process},
    {"not-dumpable", not_dumpable},       {"end-with-thread", end_with_thread},
    {"take-orphans", take_orphans},       {"other-personality", other_personality},
    {"be-nice", be_nice},                 {"batch-scheduling", batch_scheduling},
    {"one-processor", one_processor},     {"be-traced", be_traced},
    {"be-traced-and-signalled", be_traced_and_signalled},
    {"strict-system-calls", strict_system_calls},
    {"own-descriptor-table", own_descriptor_table}, {"own-mounts", own_mounts},
    {"own-network", own_network},         {NULL, NULL},
};
