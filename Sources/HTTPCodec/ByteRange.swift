/// A run of bytes inside a request, as offsets from its first byte.
///
/// Offsets stay true when the buffer behind them moves; pointers would not. Kept as 32-bit values, so that a field
/// is 16 bytes: `RequestParser` bounds a head far below that.
@frozen
public struct ByteRange: Sendable, Equatable {
  @usableFromInline var storedStart: Int32
  @usableFromInline var storedCount: Int32

  /// - Parameters:
  ///   - start: Offset of the first byte, 0 up to `Int32.max`.
  ///   - count: Number of bytes, 0 up to `Int32.max`.
  @inlinable @inline(__always)
  public init(start: Int, count: Int) {
    storedStart = Int32(truncatingIfNeeded: start)
    storedCount = Int32(truncatingIfNeeded: count)
  }

  /// The range between two offsets.
  @inlinable @inline(__always)
  init(from start: Int, to end: Int) {
    self.init(start: start, count: end &- start)
  }

  /// No bytes, at offset 0.
  public static var empty: ByteRange {
    @inlinable @inline(__always) get { ByteRange(start: 0, count: 0) }
  }

  /// Offset of the first byte.
  public var start: Int {
    @inlinable @inline(__always) get { Int(storedStart) }
    @inlinable @inline(__always) set { storedStart = Int32(truncatingIfNeeded: newValue) }
  }

  /// Number of bytes.
  public var count: Int {
    @inlinable @inline(__always) get { Int(storedCount) }
    @inlinable @inline(__always) set { storedCount = Int32(truncatingIfNeeded: newValue) }
  }

  /// Offset just past the last byte.
  public var end: Int {
    @inlinable @inline(__always) get { Int(storedStart) &+ Int(storedCount) }
  }

  /// Whether there are no bytes.
  public var isEmpty: Bool {
    @inlinable @inline(__always) get { storedCount == 0 }
  }

  /// The bytes themselves.
  ///
  /// - Parameter bytes: The bytes that the range was made for, from the same first byte on.
  /// - Returns: A view that lives as long as `bytes`.
  @inlinable @inline(__always)
  public func bytes(in bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: bytes[start..<end])
  }
}

/// A header field, as offsets from the start of its request.
@frozen
public struct FieldRange: Sendable, Equatable {
  /// The name as sent; never empty. Compare it without case.
  public var name: ByteRange
  /// The value without the whitespace around it; may be empty.
  public var value: ByteRange

  @inlinable @inline(__always)
  public init(name: ByteRange, value: ByteRange) {
    self.name = name
    self.value = value
  }
}
