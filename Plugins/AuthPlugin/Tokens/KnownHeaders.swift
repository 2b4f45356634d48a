import Glibc
import Synchronization

/// Headers of tokens that have been verified: an issuer writes the same one into all of its tokens, and reading it anew takes
/// a quarter of the time that verifying a token does. A header is kept as it was read, and judged for each token. Bounded; any
/// thread.
final class KnownHeaders: Sendable {
  private struct Known {
    let text: [UInt8]
    let header: TokenHeader
  }

  private struct State {
    var known: [Known] = []
    var next = 0
  }

  /// One for each algorithm and key that is in use, about.
  private static let capacity = 8
  /// In bytes.
  private static let maximumCount = 512

  private let state = Mutex(State())

  /// - Parameter text: in base64url.
  func find(_ text: UnsafeRawBufferPointer) -> TokenHeader? {
    guard text.count <= Self.maximumCount, let start = text.baseAddress else { return nil }
    return state.withLock { state in
      state.known.first { $0.text.count == text.count && memcmp($0.text, start, text.count) == 0 }?.header
    }
  }

  /// Keeps a header, in place of that which has been kept for longest.
  ///
  /// - Parameter header: of a token with the right signature: strangers do not choose what is kept.
  func insert(_ header: TokenHeader, _ text: UnsafeRawBufferPointer) {
    guard text.count <= Self.maximumCount, find(text) == nil else { return }
    let known = Known(text: [UInt8](text), header: header)
    state.withLock { state in
      if state.known.count < Self.capacity {
        state.known.append(known)
      } else {
        state.known[state.next] = known
        state.next = (state.next + 1) % Self.capacity
      }
    }
  }
}
