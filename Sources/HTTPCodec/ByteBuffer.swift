/// Growable bytes with a readable region in the middle: read from its front, write after its end.
///
/// Owns its memory, and keeps it until `shrink(to:)`, so that a connection in steady state allocates nothing. One
/// thread at a time. Views of it are good until the next call that may move the bytes: `reserve`, `append`, `shrink`.
///
/// Unsafe memory: `0 <= start <= end <= capacity`, and `base` has `capacity` bytes; `base` is nil when that is 0.
@frozen
public struct ByteBuffer: ~Copyable {
  @usableFromInline var base: UnsafeMutableRawPointer?
  @usableFromInline var start: Int
  @usableFromInline var end: Int

  /// Bytes of memory held, readable or not.
  public private(set) var capacity: Int

  /// The least that is ever allocated.
  @usableFromInline static var minimumCapacity: Int { 256 }

  /// - Parameter capacity: Bytes to allocate at once; 0 allocates nothing yet.
  public init(capacity: Int = 0) {
    start = 0
    end = 0
    self.capacity = max(capacity, 0)
    base = capacity > 0 ? UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16) : nil
  }

  deinit {
    base?.deallocate()
  }

  /// Number of readable bytes.
  public var count: Int {
    @inlinable @inline(__always) get { end &- start }
  }

  /// Whether nothing is readable.
  public var isEmpty: Bool {
    @inlinable @inline(__always) get { end == start }
  }

  /// The readable bytes, which may be changed in place.
  public var readable: UnsafeMutableRawBufferPointer {
    @inlinable @inline(__always) get {
      guard let base else { return UnsafeMutableRawBufferPointer(start: nil, count: 0) }
      return UnsafeMutableRawBufferPointer(start: base + start, count: end &- start)
    }
  }

  /// Makes space after the readable bytes; they may move.
  ///
  /// - Parameter minimum: Bytes needed, 0 or more.
  /// - Returns: All the space there is, `minimum` bytes or more, not initialised. Write to its front, then `commit`.
  @inlinable @inline(__always)
  public mutating func reserve(_ minimum: Int) -> UnsafeMutableRawBufferPointer {
    if capacity &- end < minimum { makeSpace(minimum) }
    guard let base else { return UnsafeMutableRawBufferPointer(start: nil, count: 0) }
    return UnsafeMutableRawBufferPointer(start: base + end, count: capacity &- end)
  }

  /// Makes the first bytes of the reserved space readable.
  ///
  /// - Parameter count: How many were written; not more than the space that `reserve` returned.
  @inlinable @inline(__always)
  public mutating func commit(_ count: Int) {
    precondition(count >= 0 && count <= capacity &- end, "More committed than reserved")
    end &+= count
  }

  /// Drops bytes from the front.
  ///
  /// - Parameter count: Not more than are readable.
  @inlinable @inline(__always)
  public mutating func consume(_ count: Int) {
    precondition(count >= 0 && count <= end &- start, "More consumed than readable")
    start &+= count
    if start == end { removeAll() }
  }

  /// Drops bytes from the back.
  ///
  /// - Parameter count: How many stay, from the front; not more than are readable.
  @inlinable @inline(__always)
  public mutating func truncate(to count: Int) {
    precondition(count >= 0 && count <= end &- start, "Truncated to more than is readable")
    end = start &+ count
    if start == end { removeAll() }
  }

  /// Drops all readable bytes; the memory is kept.
  @inlinable @inline(__always)
  public mutating func removeAll() {
    start = 0
    end = 0
  }

  /// Gives memory back, as far as the readable bytes allow.
  ///
  /// - Parameter capacity: Bytes to keep; with 0, an empty buffer frees all.
  public mutating func shrink(to capacity: Int) {
    let wanted = max(capacity, count)
    if wanted < self.capacity { reallocate(wanted) }
  }

  /// Compacts where that is cheap for what it yields, else grows at least twofold: either way, the cost of moving is
  /// constant for each byte that passes through.
  @usableFromInline @inline(never)
  mutating func makeSpace(_ minimum: Int) {
    if count <= start, count + minimum <= capacity, let base {
      base.copyMemory(from: base + start, byteCount: count)
      end = count
      start = 0
    } else {
      reallocate(max(count + minimum, count * 2, Self.minimumCapacity))
    }
  }

  private mutating func reallocate(_ newCapacity: Int) {
    let memory =
      newCapacity > 0 ? UnsafeMutableRawPointer.allocate(byteCount: newCapacity, alignment: 16) : nil
    if let base {
      memory?.copyMemory(from: base + start, byteCount: count)
      base.deallocate()
    }
    base = memory
    capacity = newCapacity
    end = count
    start = 0
  }
}
