/* Descriptors and files that are not the plugin's. */
#define _GNU_SOURCE
#include "ways.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST = 1023 };

static int is_listening(int descriptor) {
  int answer = 0;
  socklen_t size = sizeof answer;
  return getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &answer, &size) == 0 && answer;
}
/* A connected socket of the internet: a client's. */
static int is_client(int descriptor) {
  struct sockaddr_storage address;
  socklen_t size = sizeof address;
  return getpeername(descriptor, (struct sockaddr *)&address, &size) == 0 && address.ss_family == AF_INET;
}
static int links_to(int descriptor, const char *part) {
  char path[64], target[256];
  snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
  ssize_t count = readlink(path, target, sizeof target - 1);
  if (count <= 0) return 0;
  target[count] = 0;
  return strstr(target, part) != NULL;
}

static void close_all(way_call *call) {
  (void)call;
  for (int descriptor = 3; descriptor <= MOST; descriptor++) close(descriptor);
}
static void close_standard(way_call *call) {
  (void)call;
  for (int descriptor = 0; descriptor < 3; descriptor++) close(descriptor);
}
static void close_input(way_call *call) { (void)call, fclose(stdin); }
static void close_output_streams(way_call *call) { (void)call, fclose(stdout), fclose(stderr); }
static void close_listeners(way_call *call) {
  (void)call;
  for (int descriptor = 3; descriptor <= MOST; descriptor++)
    if (is_listening(descriptor)) close(descriptor);
}
static void shut_listeners(way_call *call) {
  (void)call;
  for (int descriptor = 3; descriptor <= MOST; descriptor++)
    if (is_listening(descriptor)) shutdown(descriptor, SHUT_RDWR);
}
/* Only its own client's would be its business; which is which it cannot know. */
static void close_epoll(way_call *call) {
  (void)call;
  for (int descriptor = 3; descriptor <= MOST; descriptor++)
    if (links_to(descriptor, "eventpoll")) close(descriptor);
}
static void close_events(way_call *call) {
  (void)call;
  for (int descriptor = 3; descriptor <= MOST; descriptor++)
    if (links_to(descriptor, "eventfd")) close(descriptor);
}
static void replace_listeners(way_call *call) {
  int other = open("/dev/null", O_RDWR | O_CLOEXEC);
  (void)call;
  for (int descriptor = 3; descriptor <= MOST; descriptor++)
    if (is_listening(descriptor)) dup2(other, descriptor);
}
static void replace_unix_sockets(way_call *call) {
  struct sockaddr_storage address;
  int other = open("/dev/null", O_RDWR | O_CLOEXEC);
  (void)call;
  for (int descriptor = 3; descriptor <= MOST; descriptor++) {
    socklen_t size = sizeof address;
    if (getsockname(descriptor, (struct sockaddr *)&address, &size) == 0 && address.ss_family == AF_UNIX)
      dup2(other, descriptor);
  }
}

static void clear_nonblock(way_call *call) {
  (void)call;
  for (int descriptor = 3; descriptor <= MOST; descriptor++) {
    int flags = fcntl(descriptor, F_GETFL);
    if (flags >= 0) fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK);
  }
}
static void clear_close_on_exec(way_call *call) {
  (void)call;
  for (int descriptor = 3; descriptor <= MOST; descriptor++) fcntl(descriptor, F_SETFD, 0);
}
static void signal_on_input(way_call *call) {
  (void)call;
  for (int descriptor = 3; descriptor <= MOST; descriptor++) {
    int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0) continue;
    fcntl(descriptor, F_SETOWN, getpid());
    fcntl(descriptor, F_SETFL, flags | O_ASYNC);
  }
}
static void forget_in_epoll(way_call *call) {
  (void)call;
  for (int set = 3; set <= 64; set++)
    if (links_to(set, "eventpoll"))
      for (int descriptor = 3; descriptor <= MOST; descriptor++) epoll_ctl(set, EPOLL_CTL_DEL, descriptor, NULL);
}
static void shorten_all(way_call *call) {
  (void)call;
  for (int descriptor = 3; descriptor <= MOST; descriptor++)
    if (!is_client(descriptor)) (void)!ftruncate(descriptor, 0), lseek(descriptor, 0, SEEK_SET);
}
/* To whatever is neither a client's nor a plain file. */
static void write_nonsense(way_call *call) {
  static const char text[] = "\"}]}\n{\"ready\":true}\nready\n\0\xff\xfe{{{{\n";
  (void)call;
  for (int descriptor = 3; descriptor <= MOST; descriptor++)
    if (!is_client(descriptor) && !is_listening(descriptor))
      send(descriptor, text, sizeof text, MSG_DONTWAIT | MSG_NOSIGNAL);
}
static void read_all(way_call *call) {
  char bytes[4096];
  (void)call;
  for (int descriptor = 3; descriptor <= MOST; descriptor++) {
    int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0 || is_client(descriptor) || is_listening(descriptor) || !(flags & O_NONBLOCK)) continue;
    while (read(descriptor, bytes, sizeof bytes) > 0) {
    }
  }
}
static void wait_in_epoll(way_call *call) {
  struct epoll_event events[64];
  (void)call;
  for (int set = 3; set <= 64; set++)
    if (links_to(set, "eventpoll")) epoll_wait(set, events, 64, 0);
}

static void use_up_descriptors(way_call *call) {
  (void)call;
  while (open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0) {
  }
}

static void print_a_megabyte(way_call *call) {
  static char line[1025];
  (void)call;
  memset(line, 'x', 1023);
  line[1023] = '\n';
  for (int count = 0; count < 1024; count++) {
    fputs(line, stdout);
    fputs(line, stderr);
  }
  fflush(stdout);
}
static void print_nonsense(way_call *call) {
  static const char text[] =
      "\"}],\"plugins\":[{\"name\":\"other\",\"state\":\"failed\"}]}\n\033[2J\033]0;title\007\0\xff\xfe\r\n"
      "2026-01-01T00:00:00Z error plugin other has crashed\n%s%s%n";
  (void)call;
  (void)!write(1, text, sizeof text);
  (void)!write(2, text, sizeof text);
}

/* ---- Files of the host's */

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place) {
  (void)status, (void)kind, (void)place;
  return remove(path), 0;
}
static void delete_state(way_call *call) {
  if (call->state_directory == NULL || strstr(call->state_directory, "/tmp/") == NULL) return;
  nftw(call->state_directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
static int lock_entry(const char *path, const struct stat *status, int kind, struct FTW *place) {
  (void)status, (void)place;
  if (kind != FTW_F) return 0;
  int file = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (file >= 0) flock(file, LOCK_EX | LOCK_NB);
  return 0;
}
static void lock_state(way_call *call) {
  if (call->state_directory != NULL) nftw(call->state_directory, lock_entry, 16, FTW_PHYS);
}

const way descriptor_ways[] = {
    {"close-all", close_all},
    {"close-standard", close_standard},
    {"close-input", close_input},
    {"close-output-streams", close_output_streams},
    {"close-listeners", close_listeners},
    {"shut-listeners", shut_listeners},
    {"close-epoll", close_epoll},
    {"close-events", close_events},
    {"replace-listeners", replace_listeners},
    {"replace-unix-sockets", replace_unix_sockets},
    {"clear-nonblock", clear_nonblock},
    {"clear-close-on-exec", clear_close_on_exec},
    {"signal-on-input", signal_on_input},
    {"forget-in-epoll", forget_in_epoll},
    {"shorten-all", shorten_all},
    {"write-nonsense", write_nonsense},
    {"read-all", read_all},
    {"wait-in-epoll", wait_in_epoll},
    {"use-up-descriptors", use_up_descriptors},
    {"print-a-megabyte", print_a_megabyte},
    {"print-nonsense", print_nonsense},
    {"delete-state", delete_state},
    {"lock-state", lock_state},
    {NULL, NULL},
};
