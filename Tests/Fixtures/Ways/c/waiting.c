/* Calls that take too long, or never come back. */
#define _GNU_SOURCE
#include "ways.h"

#include <arpa/nameser.h>
#include <link.h>
#include <netinet/in.h>
#include <pthread.h>
#include <resolv.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/socket.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

void doze(unsigned milliseconds) {
  struct timespec left = {.tv_sec = milliseconds / 1000, .tv_nsec = (long)(milliseconds % 1000) * 1000000};
  while (nanosleep(&left, &left) != 0) {
  }
}

void on_thread(void *(*run)(void *), void *argument) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, run, argument) == 0) pthread_detach(thread);
}

static void spin(way_call *call) {
  (void)call;
  for (volatile unsigned long turn = 0;; turn++) {
  }
}
static void sleep_for_ever(way_call *call) {
  (void)call;
  for (;;) sleep(3600);
}
static void wait_for_signal(way_call *call) {
  (void)call;
  for (;;) pause();
}
static void deadlock(way_call *call) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  (void)call;
  pthread_mutex_lock(&mutex);
  pthread_mutex_lock(&mutex);
}
static void wait_for_nobody(way_call *call) {
  sem_t semaphore;
  (void)call;
  sem_init(&semaphore, 0, 0);
  while (sem_wait(&semaphore) != 0) {
  }
}
static void read_empty_pipe(way_call *call) {
  int ends[2];
  char byte;
  (void)call;
  if (pipe(ends) == 0)
    while (read(ends[0], &byte, 1) != 0) {
    }
}
static void write_full_pipe(way_call *call) {
  int ends[2];
  static char bytes[65536];
  (void)call;
  if (pipe(ends) == 0)
    while (write(ends[1], bytes, sizeof bytes) != 0) {
    }
}

/* A name server that hears, and says nothing. */
static void ask_silent_name_server(way_call *call) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t count = sizeof address;
  unsigned char answer[512];
  struct __res_state state;
  int server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  (void)call;
  memset(&state, 0, sizeof state);
  if (bind(server, (struct sockaddr *)&address, sizeof address) != 0) return;
  getsockname(server, (struct sockaddr *)&address, &count);
  if (res_ninit(&state) != 0) return;
  state.nscount = 1;
  state.nsaddr_list[0] = address;
  for (;;) res_nquery(&state, "velro.ai", ns_c_in, ns_t_a, answer, sizeof answer);
}

static void connect_to_full_backlog(way_call *call) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t count = sizeof address;
  int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  (void)call;
  if (bind(server, (struct sockaddr *)&address, sizeof address) != 0 || listen(server, 0) != 0) return;
  getsockname(server, (struct sockaddr *)&address, &count);
  for (;;) {
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(client, (struct sockaddr *)&address, count) != 0) continue;
  }
}

static int hang_in_loader(struct dl_phdr_info *image, size_t size, void *argument) {
  (void)image, (void)size, (void)argument;
  for (;;) pause();
}
static void hang_with_loader_lock(way_call *call) { (void)call, dl_iterate_phdr(hang_in_loader, NULL); }

static void hang_with_stream_lock(way_call *call) {
  flockfile(stderr);
  flockfile(stdout);
  wait_for_signal(call);
}
static void keep_stream_locks(way_call *call) {
  (void)call;
  flockfile(stderr);
  flockfile(stdout);
}

static void slow(way_call *call) { (void)call, doze(300); }
static void very_slow_computing(way_call *call) {
  (void)call;
  uint64_t end = call->host->monotonic_ns() + 300000000;
  while (call->host->monotonic_ns() < end) {
  }
}
static void write_to_system_log(way_call *call) {
  (void)call;
  openlog("way", LOG_PERROR, LOG_USER);
  for (int line = 0; line < 100; line++) syslog(LOG_EMERG | LOG_LOCAL7, "a line that nobody asked for, %d", line);
}

const way waiting_ways[] = {
    {"spin", spin},
    {"sleep-for-ever", sleep_for_ever},
    {"wait-for-signal", wait_for_signal},
    {"deadlock", deadlock},
    {"wait-for-nobody", wait_for_nobody},
    {"read-empty-pipe", read_empty_pipe},
    {"write-full-pipe", write_full_pipe},
    {"ask-silent-name-server", ask_silent_name_server},
    {"connect-to-full-backlog", connect_to_full_backlog},
    {"hang-with-loader-lock", hang_with_loader_lock},
    {"hang-with-stream-lock", hang_with_stream_lock},
    {"keep-stream-locks", keep_stream_locks},
    {"slow", slow},
    {"very-slow-computing", very_slow_computing},
    {"write-to-system-log", write_to_system_log},
    {NULL, NULL},
};
