/// Reads numbers and strings one after the other from bytes that may be anything. What is not there reads as 0, and from then
/// on nothing is there. The bytes outlive the cursor.
struct ByteCursor {
  private let bytes: Slice<UnsafeRawBufferPointer>
  private(set) var position: Int
  private(set) var hasFailed = false
  /// A longer string is cut. This is a number of bytes.
  private static let longest = 4096

  init(_ bytes: Slice<UnsafeRawBufferPointer>) {
    self.bytes = bytes
    position = bytes.startIndex
  }

  var isAtEnd: Bool { position >= bytes.endIndex }

  mutating func fail() {
    hasFailed = true
    position = bytes.endIndex
  }

  mutating func number<Number: FixedWidthInteger & BitwiseCopyable>(_: Number.Type) -> Number {
    let size = MemoryLayout<Number>.size
    guard size <= bytes.endIndex - position else {
      fail()
      return 0
    }
    defer { position += size }
    return bytes.base.loadUnaligned(fromByteOffset: position, as: Number.self)
  }

  /// LEB128, without a sign; bits past 64 are dropped.
  mutating func unsigned() -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while !isAtEnd {
      let byte = number(UInt8.self)
      if shift < 64 { value |= UInt64(byte & 0x7f) << shift }
      if byte & 0x80 == 0 { return value }
      shift += 7
    }
    fail()
    return 0
  }

  mutating func signed() -> Int64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while !isAtEnd {
      let byte = number(UInt8.self)
      if shift < 64 { value |= UInt64(byte & 0x7f) << shift }
      shift += 7
      if byte & 0x80 != 0 { continue }
      if byte & 0x40 != 0, shift < 64 { value |= ~0 << shift }
      return Int64(bitPattern: value)
    }
    fail()
    return 0
  }

  /// Up to a NUL, which is passed over.
  mutating func string() -> [UInt8] {
    var found: [UInt8] = []
    while !isAtEnd, found.count < ByteCursor.longest {
      let byte = number(UInt8.self)
      if byte == 0 { return found }
      found.append(byte)
    }
    fail()
    return []
  }

  mutating func skip(_ count: UInt64) {
    guard let count = Int(exactly: count), count <= bytes.endIndex - position else { return fail() }
    position += count
  }

  /// The next bytes, as a cursor of their own; nil if there are not so many.
  mutating func take(_ count: Int) -> ByteCursor? {
    guard !hasFailed, count >= 0, count <= bytes.endIndex - position else {
      fail()
      return nil
    }
    defer { position += count }
    return ByteCursor(bytes.base[position..<(position + count)])
  }
}
