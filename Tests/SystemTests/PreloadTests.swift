import Foundation
import PluginTesting
import Testing

/// Libraries that are loaded into the host before all others (LD_PRELOAD, ld.so(8)): allocators, clocks, checkers.
@Suite("A preloaded library")
struct PreloadTests {
  private static let warning = "memory is not the C library's"

  /// A library of an allocator's functions, each of which calls the C library's and marks that it was called.
  private func allocator(in directory: TemporaryDirectory, _ functions: String) throws -> String {
    let source = try directory.write(
      "preload.c",
      """
      #define _GNU_SOURCE
      #include <dlfcn.h>
      #include <stddef.h>
      #include <string.h>
      extern void *__libc_malloc(size_t); extern void __libc_free(void *); extern void *__libc_realloc(void *, size_t);
      /* Each block has a head, by which it is told from the C library's own. */
      struct head { long mark; size_t size; };
      enum { OWN = 0x6b72616d, ALIGNED = 0x6e676c61 };
      static void *marked(struct head *head, long mark, size_t size) {
        if (!head) return NULL;
        *head = (struct head){mark, size};
        return head + 1;
      }
      static struct head *head_of(void *block) {
        struct head *head = (struct head *)block - 1;
        if (head->mark != OWN && head->mark != ALIGNED) __builtin_trap();
        return head;
      }
      \(functions)
      """)
    let output = "\(directory.path)/libpreload.so"
    let built = try ReleaseBuild.run("/usr/bin/env", ["cc", "-shared", "-fPIC", "-O1", "-o", output, source])
    try #require(built.status == .exited(0), "\(built.errors)")
    return output
  }

  private func serve(_ preload: String, _ environment: [String: String] = [:], isForeign: Bool) throws {
    let environment = environment.merging(["LD_PRELOAD": preload]) { $1 }
    let version = try ReleaseBuild.run(["version"], environment: environment)
    #expect(version.status == .exited(0), "\(version)")
    #expect(!version.errors.contains("cannot be preloaded"), "\(version.errors)")
    let host = try HostProcess(
      HostSettings(
        plugins: Section.fault("fault", mount: "/fault", "paths = /fault")
          + Section.fault("other", mount: "/other", "paths = /other")),
      environment: environment)
    #expect(try host.get("/fault/echo").status == 200)
    let worker = try host.worker().generation
    #expect(try host.get("/fault/echo", headers: [("X-Fault", "trap")]).status == 503)
    #expect(try host.get("/other/echo").status == 200)
    try wait("the worker to be replaced", within: .seconds(30)) { try host.worker().generation > worker }
    #expect(try host.command("reload").status == .exited(0))
    #expect(try host.get("/other/echo").status == 200)
    #expect(host.log.split(separator: "\n").count { $0.contains(Self.warning) } == (isForeign ? 1 : 0))
    #expect(try host.stop() == .exited(0))
  }

  @Test("the C library's own checker of the heap", arguments: [false, true])
  func mallocDebug(checks: Bool) throws {
    try serve(
      "libc_malloc_debug.so.0", checks ? ["GLIBC_TUNABLES": "glibc.malloc.check=3"] : [:], isForeign: true)
  }

  @Test("an allocator of malloc, calloc, realloc and free, whose blocks are its own")
  func allocator() throws {
    let directory = try TemporaryDirectory()
    let library = try allocator(
      in: directory,
      """
      void *malloc(size_t size) { return marked(__libc_malloc(size + sizeof(struct head)), OWN, size); }
      void free(void *block) {
        if (!block) return;
        struct head *head = head_of(block);
        /* Those of memalign are never given back. */
        if (head->mark == ALIGNED) return;
        head->mark = 0;
        __libc_free(head);
      }
      size_t malloc_usable_size(void *block) { return block ? head_of(block)->size : 0; }
      void *calloc(size_t count, size_t size) {
        size_t all;
        if (__builtin_mul_overflow(count, size, &all)) return NULL;
        void *block = malloc(all);
        return block ? memset(block, 0, all) : NULL;
      }
      void *realloc(void *block, size_t size) {
        void *larger = malloc(size);
        if (!larger || !block) return larger;
        size_t before = malloc_usable_size(block);
        memcpy(larger, block, before < size ? before : size);
        free(block);
        return larger;
      }
      void *memalign(size_t alignment, size_t size) {
        size_t start = (size_t)__libc_malloc(size + alignment + sizeof(struct head));
        if (!start) return NULL;
        size_t place = (start + sizeof(struct head) + alignment - 1) & ~(alignment - 1);
        return marked((struct head *)place - 1, ALIGNED, size);
      }
      void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
      int posix_memalign(void **block, size_t alignment, size_t size) {
        *block = memalign(alignment, size);
        return *block ? 0 : 12;
      }
      """)
    try serve(library, isForeign: true)
  }

  @Test("one that watches free alone, and one that looks symbols up while the heap is first used")
  func watcher() throws {
    let directory = try TemporaryDirectory()
    let library = try allocator(
      in: directory,
      """
      static void (*next)(void *) = __libc_free;
      void free(void *block) { next(block); }
      /* An error of dlsym(3) is kept in memory, which the next call frees. */
      __attribute__((constructor)) static void look(void) {
        dlsym(RTLD_NEXT, "no_such_function");
        *(void **)&next = dlsym(RTLD_NEXT, "free");
      }
      """)
    try serve(library, isForeign: true)
  }

  @Test("one that has nothing to do with memory, and whose look-ups fail, changes nothing")
  func bystander() throws {
    let directory = try TemporaryDirectory()
    let library = try allocator(
      in: directory,
      """
      __attribute__((constructor)) static void look(void) {
        dlsym(RTLD_NEXT, "no_such_function");
        dlsym(RTLD_NEXT, "another");
        dlsym(RTLD_NEXT, "getpid");
      }
      """)
    try serve(library, isForeign: false)
  }
}
