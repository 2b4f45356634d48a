/// The octets of the grammars that this module reads, and scans over them.
///
/// Unsafe memory: every function takes a base address and offsets, and reads only bytes in `start..<end`, which the
/// caller has checked to be readable.
@usableFromInline
enum Octets {
  static let horizontalTab: UInt8 = 0x09
  static let lineFeed: UInt8 = 0x0A
  static let carriageReturn: UInt8 = 0x0D
  static let space: UInt8 = 0x20

  /// Sets of octets; `classes` has, for each octet, those that it is in.
  struct Class {
    let bit: UInt8

    /// `tchar` (RFC 9110 section 5.6.2).
    static let token = Class(bit: 0x01)
    /// What a path may have: `pchar`, `%` and `/` (RFC 3986 section 3.3), and `|`, `[` and `]`, which browsers send.
    static let path = Class(bit: 0x02)
    /// What a query may have: that, `?`, and what browsers send unencoded: `\ ^ { }` and the grave accent.
    static let query = Class(bit: 0x04)
    /// `reg-name` (RFC 3986 section 3.2.2) without `%`, which no name in the DNS has, and without the comma, with
    /// which intermediaries join repeated fields.
    static let registeredName = Class(bit: 0x08)
    /// What normalising a path leaves as it is, wherever it stands: `path` without `%` and `/`.
    static let plainPath = Class(bit: 0x10)
    /// What a field value may have: HTAB, SP, VCHAR and obs-text (RFC 9110 section 5.5).
    static let fieldValue = Class(bit: 0x20)
    /// `HEXDIG`, in both cases.
    static let hexadecimal = Class(bit: 0x40)
  }

  /// A literal, so that the compiler lays it out and no access pays for its initialisation.
  static let classes: InlineArray<256, UInt8> = [
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x20, 0x3F, 0x20, 0x21, 0x3F, 0x27, 0x3F, 0x3F, 0x3E, 0x3E, 0x3F, 0x3F, 0x36, 0x3F, 0x3F, 0x26,
    0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x36, 0x3E, 0x20, 0x3E, 0x20, 0x24,
    0x36, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F,
    0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x36, 0x24, 0x36, 0x25, 0x3F,
    0x25, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F,
    0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x24, 0x37, 0x24, 0x3F, 0x00,
    0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20,
    0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20,
    0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20,
    0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20,
    0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20,
    0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20,
    0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20,
    0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20,
  ]

  @inline(__always)
  static func isIn(_ octets: Class, _ octet: UInt8) -> Bool {
    classes[Int(octet)] & octets.bit != 0
  }

  /// What a hexadecimal digit, in either case, stands for.
  @inline(__always)
  static func value(ofHexadecimal octet: UInt8) -> Int? {
    if octet &- 0x30 < 10 { return Int(octet &- 0x30) }
    let letter = octet | 0x20
    return letter &- 0x61 < 6 ? Int(letter &- 0x57) : nil
  }

  /// The first offset from `start` on whose octet is not in the class, or `end`.
  @inline(__always)
  static func skip(_ octets: Class, _ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> Int {
    var offset = start
    while offset < end, isIn(octets, base.load(fromByteOffset: offset, as: UInt8.self)) { offset &+= 1 }
    return offset
  }

  /// As `skip(.token, …)`, made for field names: eight octets at a time while they are letters and hyphens.
  ///
  /// With bit 0x20 set and the high bit clear, adding 0x1F carries an octet from `a` on into its high bit, and adding
  /// 5 one beyond `z`; neither carries into the next octet.
  @inline(__always)
  static func skipFieldName(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> Int {
    let high: UInt64 = 0x8080_8080_8080_8080
    let ones: UInt64 = 0x0101_0101_0101_0101
    var offset = start
    while offset &+ 8 <= end {
      let word = UInt64(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
      let folded = (word | ones &* 0x20) & ~high
      let letters = (folded &+ ones &* 0x1F) & ~(folded &+ ones &* 0x05)
      let hyphens = ~((((word ^ ones &* 0x2D) & ~high) &+ ones &* 0x7F) | word)
      let marks = ~(letters | hyphens) & high | word & high
      if marks != 0 {
        offset &+= marks.trailingZeroBitCount &>> 3
        break
      }
      offset &+= 8
    }
    return skip(.token, base, offset, end)
  }

  /// The first offset from `start` on whose octet a field value must not have, or `end`.
  ///
  /// Eight octets at a time: the high bit of each octet of `controls` tells one below 0x20, that of `deletes` a DEL.
  /// A borrow can only mark octets above (that is, after) a true one, so the lowest mark is right. HTAB is marked as
  /// well; what follows it is looked at one by one.
  @inline(__always)
  static func skipFieldValue(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> Int {
    let high: UInt64 = 0x8080_8080_8080_8080
    let ones: UInt64 = 0x0101_0101_0101_0101
    var offset = start
    while offset &+ 8 <= end {
      let word = UInt64(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
      let controls = (word &- ones &* 0x20) & ~word
      let deleted = word ^ (ones &* 0x7F)
      let deletes = (deleted &- ones) & ~deleted
      let marks = (controls | deletes) & high
      if marks != 0 {
        offset &+= marks.trailingZeroBitCount &>> 3
        break
      }
      offset &+= 8
    }
    return skip(.fieldValue, base, offset, end)
  }

  /// Whether the octets at `address` are `lowercased`, in any case.
  ///
  /// The octets must be tokens, as long as `lowercased`, which has 8 octets or more, all lower-case letters or `-`.
  /// Of the octets in tokens, only upper-case letters become one of those when bit 0x20 is set.
  @inline(__always)
  static func matches(_ address: UnsafeRawPointer, _ lowercased: StaticString) -> Bool {
    let count = lowercased.utf8CodeUnitCount
    let wanted = UnsafeRawPointer(lowercased.utf8Start)
    var difference: UInt64 = 0
    var offset = 0
    while offset &+ 8 <= count {
      difference |= wordDifference(address, wanted, offset)
      offset &+= 8
    }
    if offset < count { difference |= wordDifference(address, wanted, count &- 8) }
    return difference == 0
  }

  @inline(__always)
  private static func wordDifference(
    _ address: UnsafeRawPointer, _ lowercased: UnsafeRawPointer, _ offset: Int
  ) -> UInt64 {
    let word = address.loadUnaligned(fromByteOffset: offset, as: UInt64.self) | 0x2020_2020_2020_2020
    return word ^ lowercased.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
  }
}
