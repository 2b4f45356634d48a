/* The least that a server on epoll, recv and send costs: it answers whatever arrives with the same bytes, and reads none
 * of them. No HTTP server that makes these calls can cost less; what one costs more is its own work.
 *
 *   floor PORT THREADS BODY-LENGTH
 *
 * A loop a thread, one shared listener with EPOLLEXCLUSIVE, edge-triggered connections, as Bulkhead does. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static int listener;
static char answer[4096];
static size_t answer_length;

static void watch(int epoll, int descriptor, unsigned interest) {
  struct epoll_event event = {.events = interest, .data.fd = descriptor};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) != 0) exit(1);
}

static void take_connections(int epoll) {
  int descriptor;
  while ((descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watch(epoll, descriptor, EPOLLIN | EPOLLRDHUP | EPOLLET);
  }
}

static void *serve(void *unused) {
  static __thread char input[16384];
  struct epoll_event events[256];
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  watch(epoll, listener, EPOLLIN | EPOLLEXCLUSIVE);
  for (;;) {
    int count = epoll_wait(epoll, events, 256, -1);
    for (int i = 0; i < count; i++) {
      int descriptor = events[i].data.fd;
      if (descriptor == listener) {
        take_connections(epoll);
      } else if (recv(descriptor, input, sizeof input, 0) > 0) {
        send(descriptor, answer, answer_length, MSG_NOSIGNAL);
      } else {
        close(descriptor);
      }
    }
  }
  return unused;
}

int main(int count, char **arguments) {
  if (count != 4) return 64;
  int threads = atoi(arguments[2]), body = atoi(arguments[3]), on = 1;
  if (body < 0 || body > 2048) return 64;
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(arguments[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 511) != 0) return 1;
  int head = snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", body);
  memset(answer + head, ' ', (size_t)body);
  answer_length = (size_t)(head + body);
  for (int i = 1; i < threads; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, serve, NULL) != 0) return 1;
  }
  serve(NULL);
}
