import LinuxShims

/// An allocator that stands in for the C library's (LD_PRELOAD, ld.so(8)): jemalloc, AddressSanitizer's, one that counts.
enum PreloadedAllocator {
  /// Says what is not to be had with it. By the supervisor, whose environment workers inherit: once, and not by each of them.
  static func sayIfThere() {
    if let checker = MemoryChecker.current { Log.shared.write(.info, checker.notice) }
    guard !lost_heap_is_guarded() else { return }
    Log.shared.write(
      .warning,
      "memory is not the C library's (LD_PRELOAD): a plugin that crashes or hangs within malloc may bring its worker to a "
        + "standstill, until the supervisor replaces it")
  }
}
