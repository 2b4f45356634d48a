#define _GNU_SOURCE
#include "ResidentMemory.h"

#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

void shim_bound_heap(void) {
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
  mallopt(M_TRIM_THRESHOLD, 512 << 10);
}

static int release(struct dl_phdr_info *info, size_t size, void *data) {
  (void)size;
  uintptr_t page = *(const uintptr_t *)data;
  for (int index = 0; index < info->dlpi_phnum; index++) {
    const ElfW(Phdr) *header = &info->dlpi_phdr[index];
    /* What is writable may hold what the file does not. */
    if (header->p_type != PT_LOAD || (header->p_flags & PF_W)) continue;
    uintptr_t start = info->dlpi_addr + header->p_vaddr;
    uintptr_t first = start & ~(page - 1), end = (start + header->p_filesz + page - 1) & ~(page - 1);
    /* Best effort: the vDSO, for one, is no file's. */
    (void)madvise((void *)first, end - first, MADV_DONTNEED);
  }
  return 0;
}

void shim_release_code(void) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  dl_iterate_phdr(release, &page);
}
