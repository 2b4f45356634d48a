import PluginABI

// Invariant: a `bh_bytes` is read only within the lifetime that the ABI states for it, and one made here is used only
// within the closure that receives it.

extension bh_bytes {
  @inlinable init(_ buffer: UnsafeRawBufferPointer) {
    self.init(data: buffer.baseAddress?.assumingMemoryBound(to: CChar.self), count: buffer.count)
  }

  @inlinable var buffer: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: data, count: count) }

  /// A copy. What is not UTF-8 is replaced by U+FFFD.
  @inlinable var string: String { String(decoding: buffer, as: UTF8.self) }

  @inlinable var array: [UInt8] { [UInt8](buffer) }

  /// Whether these bytes are `other`, ASCII letters compared without case (RFC 9110 section 5.1).
  @inlinable func equalsIgnoringCase(_ other: UnsafeRawBufferPointer) -> Bool {
    guard count == other.count else { return false }
    for index in 0..<count {
      let mine = UInt8(bitPattern: data[index])
      let theirs = other[index]
      if mine == theirs { continue }
      let lowered = mine | 0x20
      guard lowered == theirs | 0x20, lowered >= 0x61, lowered <= 0x7A else { return false }
    }
    return true
  }
}

extension String {
  /// Hands out the string's own bytes, without a copy.
  @inlinable func withBytes<R>(_ body: (bh_bytes) throws -> R) rethrows -> R {
    let direct = try utf8.withContiguousStorageIfAvailable { try body(bh_bytes(UnsafeRawBufferPointer($0))) }
    if let direct { return direct }
    var copy = self
    return try copy.withUTF8 { try body(bh_bytes(UnsafeRawBufferPointer($0))) }
  }
}

extension Collection<UInt8> {
  /// Hands out the collection's own bytes, without a copy if they are contiguous.
  @inlinable func withBytes<R>(_ body: (bh_bytes) throws -> R) rethrows -> R {
    let direct = try withContiguousStorageIfAvailable { try body(bh_bytes(UnsafeRawBufferPointer($0))) }
    if let direct { return direct }
    return try [UInt8](self).withUnsafeBytes { try body(bh_bytes($0)) }
  }
}

/// The statuses of the ABI, typed.
@usableFromInline enum Status {
  @inlinable static var ok: bh_status { bh_status(BH_OK) }
  @inlinable static var respond: bh_status { bh_status(BH_RESPOND) }
  @inlinable static var fault: bh_status { bh_status(BH_FAULT) }
}
