extension ByteBuffer {
  /// Appends a copy of the bytes, which must not be this buffer's own.
  @inlinable @inline(__always)
  public mutating func append(_ bytes: UnsafeRawBufferPointer) {
    guard let source = bytes.baseAddress else { return }
    append(source, bytes.count)
  }

  /// Appends a literal.
  @inlinable @inline(__always)
  public mutating func append(_ string: StaticString) {
    append(UnsafeRawPointer(string.utf8Start), string.utf8CodeUnitCount)
  }

  /// Appends a string in UTF-8.
  @_disfavoredOverload
  public mutating func append(_ string: String) {
    var string = string
    string.withUTF8 { append(UnsafeRawBufferPointer($0)) }
  }

  /// Appends one byte.
  @inlinable @inline(__always)
  public mutating func append(byte: UInt8) {
    if capacity == end { makeSpace(1) }
    (base.unsafelyUnwrapped + end).storeBytes(of: byte, as: UInt8.self)
    end &+= 1
  }

  /// Appends a number in decimal, with a `-` if it is negative.
  @inlinable
  public mutating func append(decimal number: Int) {
    if number >= 0, number < 10 { return append(byte: UInt8(truncatingIfNeeded: number) &+ 0x30) }
    appendDigits(of: number)
  }

  @usableFromInline
  mutating func appendDigits(of number: Int) {
    if number < 0 { append(byte: UInt8(ascii: "-")) }
    var magnitude = number.magnitude
    var digits = 1
    var power: UInt = 10
    while digits < 20, magnitude >= power {
      digits &+= 1
      let (next, isTooLarge) = power.multipliedReportingOverflow(by: 10)
      if isTooLarge { break }
      power = next
    }
    if capacity &- end < digits { makeSpace(digits) }
    var address = base.unsafelyUnwrapped + end + digits
    for _ in 0..<digits {
      address -= 1
      let (quotient, digit) = magnitude.quotientAndRemainder(dividingBy: 10)
      address.storeBytes(of: UInt8(truncatingIfNeeded: digit) &+ 0x30, as: UInt8.self)
      magnitude = quotient
    }
    end &+= digits
  }

  /// Appends a number in hexadecimal, in lower case and without leading zeros; a negative one as its bit pattern.
  public mutating func append(hexadecimal number: Int) {
    let bits = UInt(bitPattern: number)
    let digits = max(1, (UInt.bitWidth &- bits.leadingZeroBitCount &+ 3) / 4)
    if capacity &- end < digits { makeSpace(digits) }
    let address = base.unsafelyUnwrapped + end
    for index in 0..<digits {
      let digit = UInt8(truncatingIfNeeded: bits &>> UInt(4 &* (digits &- 1 &- index)) & 0xF)
      address.storeBytes(of: digit < 10 ? 0x30 &+ digit : 0x57 &+ digit, toByteOffset: index, as: UInt8.self)
    }
    end &+= digits
  }

  @inlinable @inline(__always)
  mutating func append(_ source: UnsafeRawPointer, _ count: Int) {
    if capacity &- end < count { makeSpace(count) }
    guard let base else { return }
    (base + end).copyMemory(from: source, byteCount: count)
    end &+= count
  }
}
