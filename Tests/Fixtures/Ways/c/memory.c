/* Memory that is not there, not the plugin's, or not any more. */
#define _GNU_SOURCE
#include "ways.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static void null_deref(way_call *call) { (void)call, *(volatile char *)nowhere() = 1; }
static void null_call(way_call *call) { ((void (*)(way_call *))(uintptr_t)nowhere())(call); }
static void wild_write(way_call *call) { (void)call, *((volatile char *)nowhere() + 0xdeadbeef000) = 1; }
/* No address at all: the processor tells none with its fault. */
static void noncanonical_write(way_call *call) { (void)call, *(volatile char *)((uintptr_t)nowhere() + (1ull << 63)) = 1; }
static void write_to_code(way_call *call) { (void)call, *(volatile char *)(uintptr_t)write_to_code = 1; }
static void write_to_constant(way_call *call) { (void)call, *(volatile char *)(uintptr_t)memory_ways = 1; }
static void jump_to_data(way_call *call) { ((void (*)(void))(uintptr_t)call)(); }

static int descend(volatile char *above) {
  volatile char here[256];
  here[0] = above ? above[0] : 1;
  return descend(here) + here[0];
}
static void stack_overflow(way_call *call) { (void)call, use((void *)(intptr_t)descend(NULL)); }

/* Past the guard page in one step. */
static void huge_alloca(way_call *call) {
  (void)call;
  volatile size_t count = (size_t)64 << 20;
  volatile char *memory = __builtin_alloca(count);
  memory[0] = 1;
}

static void stack_smash(way_call *call) {
  char small[16];
  volatile size_t count = 4096;
  memset(small, 65, count);
  use(small);
  call->result = BH_OK;
}

static void double_free(way_call *call) {
  (void)call;
  char *memory = malloc(2048);
  use(memory);
  free(memory);
  use(memory);
  free(memory);
}

static void invalid_free(way_call *call) {
  char *memory = malloc(64);
  (void)call;
  use(memory);
  free(memory + 8);
}

/* A few bytes too many, over the size of the next block; the allocator finds it later. */
static void heap_overflow(way_call *call) {
  char *blocks[8];
  (void)call;
  for (int index = 0; index < 8; index++) blocks[index] = malloc(1500);
  memset(blocks[2], 65, 1500 + 24);
  use(blocks[2]);
  for (int index = 0; index < 8; index++) free(blocks[index]);
  use(malloc(40000));
}

static void use_after_free(way_call *call) {
  void **memory = malloc(64);
  (void)call;
  memset(memory, 0, 64);
  use(memory);
  free(memory);
  use(memory);
  /* The list of free blocks now leads to nowhere. */
  memory[0] = (void *)(uintptr_t)0x4141414141414141;
  for (int index = 0; index < 16; index++) {
    void **again = malloc(64);
    again[0] = again;
    use(again);
  }
}

static void free_request(way_call *call) { free((void *)(uintptr_t)call->request); }
static void free_path(way_call *call) { free((void *)(uintptr_t)call->request->path.data); }
static void free_context(way_call *call) { free(call->context); }
static void free_exchange(way_call *call) { free(call->exchange); }

/* All that a bounded process may have, and what comes after it as sloppy programs have it. */
static void exhaust_memory(way_call *call) {
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file == NULL || fscanf(file, "%ld", &pages) != 1) return;
  fclose(file);
  rlim_t most = (rlim_t)pages * 4096 + ((rlim_t)256 << 20);
  struct rlimit limit = {.rlim_cur = most, .rlim_max = most};
  (void)call;
  setrlimit(RLIMIT_AS, &limit);
  for (;;) {
    char *memory = malloc(1 << 20);
    memory[0] = 1;
    use(memory);
  }
}

static void bus_error(way_call *call) {
  int file = memfd_create("short", 0);
  (void)call;
  if (file < 0 || ftruncate(file, 4096) != 0) return;
  volatile char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (ftruncate(file, 0) == 0) memory[0] = 1;
}

static void *page(const void *address) { return (void *)((uintptr_t)address & ~(uintptr_t)4095); }

static void unmap_own_code(way_call *call) {
  (void)call;
  munmap(page((void *)(uintptr_t)unmap_own_code), 4096);
}

/* The first mapping of the host's own program that has these rights. */
static char *program_mapping(const char *rights, size_t *count) {
  char line[512], found[8], name[256], own[256] = "";
  unsigned long from, to;
  FILE *maps = fopen("/proc/self/maps", "r");
  ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
  if (maps == NULL || length <= 0) return NULL;
  while (fgets(line, sizeof line, maps) != NULL) {
    if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %255s", &from, &to, found, name) != 4) continue;
    if (strcmp(name, own) != 0 || strcmp(found, rights) != 0) continue;
    fclose(maps);
    *count = to - from;
    return (char *)from;
  }
  fclose(maps);
  return NULL;
}

static void unmap_host_data(way_call *call) {
  size_t count = 0;
  char *memory = program_mapping("rw-p", &count);
  (void)call;
  if (memory != NULL) munmap(memory, count);
}

static void protect_host_code(way_call *call) {
  size_t count = 0;
  char *memory = program_mapping("r-xp", &count);
  (void)call;
  if (memory != NULL) mprotect(memory, count, PROT_NONE);
}

static void protect_host_data(way_call *call) {
  size_t count = 0;
  char *memory = program_mapping("rw-p", &count);
  (void)call;
  if (memory != NULL) mprotect(memory, count, PROT_READ);
}

static void before_region(way_call *call) {
  for (long offset = 1; offset <= 8192; offset++) ((volatile char *)call->region)[-offset] = 65;
}
static void after_region(way_call *call) {
  for (long offset = 0; offset < 8192; offset++) ((volatile char *)call->region)[4096 + offset] = 65;
}
/* All that it is given is its own. */
static void within_region(way_call *call) { memset(call->region, 65, 4096); }

/* Everything shared and writable, its own region apart. */
static void all_shared_memory(way_call *call) {
  char line[512], rights[8];
  unsigned long from, to;
  FILE *maps = fopen("/proc/self/maps", "r");
  if (maps == NULL) return;
  while (fgets(line, sizeof line, maps) != NULL) {
    if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) != 3 || strcmp(rights, "rw-s") != 0) continue;
    if ((char *)call->region >= (char *)from && (char *)call->region < (char *)to) continue;
    memset((void *)from, 65, to - from);
  }
  fclose(maps);
}

static void host_table(way_call *call) {
  *(void *volatile *)(uintptr_t)&call->host->log = NULL;
}

const way memory_ways[] = {
    {"null-deref", null_deref},       {"null-call", null_call},
    {"wild-write", wild_write},       {"noncanonical-write", noncanonical_write},
    {"write-to-code", write_to_code}, {"write-to-constant", write_to_constant},
    {"jump-to-data", jump_to_data},   {"stack-overflow", stack_overflow},
    {"huge-alloca", huge_alloca},     {"stack-smash", stack_smash},
    {"double-free", double_free},     {"invalid-free", invalid_free},
    {"heap-overflow", heap_overflow}, {"use-after-free", use_after_free},
    {"free-request", free_request},   {"free-path", free_path},
    {"free-context", free_context},   {"free-exchange", free_exchange},
    {"exhaust-memory", exhaust_memory}, {"bus-error", bus_error},
    {"unmap-own-code", unmap_own_code}, {"unmap-host-data", unmap_host_data},
    {"protect-host-code", protect_host_code}, {"protect-host-data", protect_host_data},
    {"before-region", before_region}, {"after-region", after_region},
    {"within-region", within_region}, {"all-shared-memory", all_shared_memory},
    {"host-table", host_table},       {NULL, NULL},
};
