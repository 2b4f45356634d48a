import Glibc

/// Memory for one request: given out piece by piece, never moved, taken back all at once.
///
/// Invariant: a piece stays valid, and where it is, until `reset`.
struct Arena: ~Copyable {
  private let first: UnsafeMutableRawPointer
  private let firstCapacity: Int
  private var used = 0
  private var overflow: [UnsafeMutableRawPointer] = []

  init(capacity: Int) {
    first = .allocate(byteCount: capacity, alignment: 16)
    firstCapacity = capacity
  }

  deinit {
    for block in overflow { block.deallocate() }
    first.deallocate()
  }

  /// `count` bytes, not initialised, aligned to 16.
  mutating func allocate(_ count: Int) -> UnsafeMutableRawPointer {
    let aligned = (count + 15) & ~15
    if used + aligned <= firstCapacity {
      defer { used += aligned }
      return first + used
    }
    let block = UnsafeMutableRawPointer.allocate(byteCount: aligned, alignment: 16)
    overflow.append(block)
    return block
  }

  /// A copy of `bytes`.
  mutating func copy(_ bytes: bh_bytes) -> bh_bytes {
    guard bytes.count > 0, let data = bytes.data else { return bh_bytes() }
    let memory = allocate(bytes.count)
    memcpy(memory, data, bytes.count)
    return bh_bytes(memory, bytes.count)
  }

  /// The UTF-8 of `text`.
  mutating func copy(_ text: String) -> bh_bytes {
    var text = text
    return text.withUTF8 { copy(bh_bytes(UnsafeRawBufferPointer($0))) }
  }

  mutating func reset() {
    used = 0
    guard !overflow.isEmpty else { return }
    for block in overflow { block.deallocate() }
    overflow.removeAll()
  }
}
