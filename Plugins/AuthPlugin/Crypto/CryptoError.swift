import CCrypto

/// A failure of libcrypto itself: out of memory, or an algorithm that this build of it does not have. Never a wrong
/// signature or password, which are ordinary answers.
struct CryptoError: Error, CustomStringConvertible {
  let operation: String
  /// In libcrypto's words.
  let reason: String

  /// Takes the reason from the thread's error queue, and empties the queue.
  init(_ operation: String) {
    self.operation = operation
    let code = ERR_get_error()
    ERR_clear_error()
    let text = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer -> String in
      ERR_error_string_n(code, buffer.baseAddress, buffer.count)
      return buffer.baseAddress.map { String(cString: $0) } ?? ""
    }
    reason = code == 0 ? "no reason given" : text
  }

  var description: String { "libcrypto: \(operation): \(reason)" }
}
