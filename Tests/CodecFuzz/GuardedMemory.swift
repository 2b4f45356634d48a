import Glibc

/// Memory whose end is followed by a page that must not be touched: reading past an input that ends there traps.
struct GuardedMemory: ~Copyable {
  private static let page = 4096
  private let pages: UnsafeMutableRawPointer
  private let end: UnsafeMutableRawPointer

  init() {
    guard
      let pages = mmap(
        nil, 2 * Self.page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      pages != MAP_FAILED, mprotect(pages + Self.page, Self.page, PROT_NONE) == 0
    else {
      perror("codec-fuzz: no memory")
      exit(71)
    }
    self.pages = pages
    end = pages + Self.page
  }

  deinit {
    munmap(pages, 2 * Self.page)
  }

  /// The last `count` bytes before the guard; at most a page.
  @inline(__always)
  func last(_ count: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: end - count, count: count)
  }
}
