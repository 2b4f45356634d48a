/// A name of a libcrypto parameter. `OSSL_PARAM` and its builder keep the pointers that they are given: a name has to be a
/// constant, and not a string that is made for the call.
extension StaticString {
  /// The NUL-terminated text, which lives as long as the process.
  func withCString<R>(_ body: (UnsafePointer<CChar>) throws -> R) rethrows -> R {
    try UnsafeRawPointer(utf8Start).withMemoryRebound(to: CChar.self, capacity: utf8CodeUnitCount + 1) {
      try body($0)
    }
  }
}
