/* What `import Glibc` does not reach: thin C, without logic. */
#ifndef LINUX_SHIMS_H
#define LINUX_SHIMS_H

#include "FaultGuard.h"
#include "HarnessShims.h"
#include "LostHeap.h"
#include "ResidentMemory.h"
#include "StraySignals.h"

#include <spawn.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/types.h>

/* accept4(2), non-blocking and close-on-exec. */
int shim_accept(int listener, struct sockaddr *address, socklen_t *length);

/* memfd_create(2), close-on-exec. */
int shim_memfd(const char *name);

/* The same, of `size` bytes, all zero; whoever has the descriptor can change no more than what is in them (F_ADD_SEALS). */
int shim_sealed_memfd(const char *name, off_t size);

/* memfd_create(2), close-on-exec: of what is in it code may be mapped, where the kernel allows that of any. */
int shim_library_memfd(const char *name);

/* From here on nobody can change what is in it, nor its size (F_ADD_SEALS). 0, or -1. */
int shim_seal(int descriptor);

/* pipe2(2), close-on-exec. */
int shim_pipe(int descriptors[2]);

/* makedev(3): a device by its numbers, as stat(2) has it. */
uint64_t shim_device(uint32_t major_number, uint32_t minor_number);

/* Standard output is written line by line, as to a terminal, and not when its buffer is full (setbuf(3)): a crash loses what is
 * in there. */
void shim_write_lines_at_once(void);

/* dlerror(3) and dlopen(3) with RTLD_NOW | RTLD_LOCAL. */
void *shim_dlopen(const char *path);

/* dlopen(3) with RTLD_NOLOAD: whether an image was loaded by this name. */
int shim_is_loaded(const char *path);

/* prctl(2): whether other processes of this user may look at this one, as by /proc/PID/fd. */
int shim_is_dumpable(void);

/* Of the child's descriptors, closes every one from `first` on. */
int shim_spawn_close_from(posix_spawn_file_actions_t *actions, int first);

/* A pthread's name as shown by ps -L, at most 15 bytes. */
void shim_name_thread(const char *name);

/* wait status */
int shim_exited(int status);
int shim_exit_code(int status);
int shim_term_signal(int status);

/* The commit that this was built from. */
const char *shim_commit(void);

/* flock(2), exclusive, without waiting. */
int shim_lock(int descriptor);

/* Blocks the signals for this thread, and gives a signalfd(2) that reads them. */
int shim_block_signals(const int *signals, int count);

/* prctl(2): the signal that this process gets when the thread that made it ends. */
int shim_parent_death_signal(int signal);

/* sendmsg(2) with one descriptor (SCM_RIGHTS); `count` may not be 0. Bytes sent, or -1. */
ssize_t shim_send_descriptor(int socket, const void *bytes, size_t count, int descriptor);

/* recvmsg(2); `*descriptor` is -1 if none came with it. Close-on-exec. Bytes received, 0 at the end, or -1. */
ssize_t shim_receive_descriptor(int socket, void *bytes, size_t capacity, int *descriptor);

/* Of the Swift runtime: the name as it stands in the source; null if it is no Swift name. The caller frees it. */
char *swift_demangle(const char *name, size_t length, char *output, size_t *capacity, uint32_t flags);

#endif
