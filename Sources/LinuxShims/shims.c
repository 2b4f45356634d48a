#define _GNU_SOURCE
#include "LinuxShims.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

int shim_accept(int listener, struct sockaddr *address, socklen_t *length) {
  return accept4(listener, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int shim_memfd(const char *name) { return memfd_create(name, MFD_CLOEXEC); }

int shim_sealed_memfd(const char *name, off_t size) {
  int descriptor = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor < 0) return -1;
  if (ftruncate(descriptor, size) == 0 &&
      fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
    return descriptor;
  int code = errno;
  close(descriptor);
  errno = code;
  return -1;
}

/* Linux 6.3, and not in the headers of every C library. */
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

int shim_library_memfd(const char *name) {
  int descriptor = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  /* An older kernel, where each may be executed. */
  if (descriptor < 0 && errno == EINVAL) descriptor = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  return descriptor;
}

int shim_seal(int descriptor) {
  return fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
}

int shim_pipe(int descriptors[2]) { return pipe2(descriptors, O_CLOEXEC); }

uint64_t shim_device(uint32_t major_number, uint32_t minor_number) { return makedev(major_number, minor_number); }

void shim_write_lines_at_once(void) { setvbuf(stdout, 0, _IOLBF, 0); }

void *shim_dlopen(const char *path) { return dlopen(path, RTLD_NOW | RTLD_LOCAL); }

int shim_is_loaded(const char *path) { return dlopen(path, RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD) != NULL; }

int shim_is_dumpable(void) { return prctl(PR_GET_DUMPABLE) == 1; }

int shim_spawn_close_from(posix_spawn_file_actions_t *actions, int first) {
  return posix_spawn_file_actions_addclosefrom_np(actions, first);
}

void shim_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

int shim_exited(int status) { return WIFEXITED(status); }
int shim_exit_code(int status) { return WEXITSTATUS(status); }
int shim_term_signal(int status) { return WIFSIGNALED(status) ? WTERMSIG(status) : 0; }

#ifndef BULKHEAD_COMMIT
#define BULKHEAD_COMMIT "unknown"
#endif

const char *shim_commit(void) { return BULKHEAD_COMMIT; }

int shim_lock(int descriptor) { return flock(descriptor, LOCK_EX | LOCK_NB); }

int shim_block_signals(const int *signals, int count) {
  sigset_t set;
  sigemptyset(&set);
  for (int index = 0; index < count; index++) sigaddset(&set, signals[index]);
  if (pthread_sigmask(SIG_BLOCK, &set, 0) != 0) return -1;
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int shim_parent_death_signal(int signal) { return prctl(PR_SET_PDEATHSIG, signal); }

ssize_t shim_send_descriptor(int socket, const void *bytes, size_t count, int descriptor) {
  struct iovec piece = {.iov_base = (void *)bytes, .iov_len = count};
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
  } control;
  memset(&control, 0, sizeof control);
  struct msghdr message = {
      .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
  return sendmsg(socket, &message, MSG_NOSIGNAL);
}

ssize_t shim_receive_descriptor(int socket, void *bytes, size_t capacity, int *descriptor) {
  struct iovec piece = {.iov_base = bytes, .iov_len = capacity};
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
  } control;
  struct msghdr message = {
      .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  *descriptor = -1;
  ssize_t count = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (count < 0) return count;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
      memcpy(descriptor, CMSG_DATA(header), sizeof(int));
  }
  return count;
}
