/// Gives each resource one spelling of its path, so that none slips past a rule that names it (RFC 3986 section 6.2.2).
///
/// - Escapes of what may stand in a path as it is are decoded; the hexadecimal digits of the others are put in upper case.
///   (RFC 3986 section 6.2.2.2 has only unreserved characters decoded, as `@` and `%40` need not mean the same to every
///   server. To this one they do: it decodes parameters whole.)
/// - Duplicate slashes become one; then dot segments, however spelled, are removed, never above the root. A slash at
///   the end stays, and one takes the place of a dot segment at the end.
/// - Refused with 400: `%2F` and `%5C`, since decoders differ on whether they divide segments; `%00`; a `%` without two
///   hexadecimal digits; characters that a path must not have, the backslash among them.
///
/// Any thread; nothing is kept of the arguments.
///
/// Unsafe memory: reads `raw[0..<raw.count]`, and writes at most as many bytes to the front of `output`.
public enum PathNormalizer {
  /// Whether a path is already what `normalize` would make of it. Cheap; false for what it would refuse.
  ///
  /// - Parameter raw: As for `normalize`.
  public static func isNormal(_ raw: UnsafeRawBufferPointer) -> Bool {
    guard let base = raw.baseAddress, raw.count > 0 else { return false }
    let count = raw.count
    guard raw[0] == slash else { return count == 1 && raw[0] == asterisk }
    var offset = 1
    while true {
      // At the start of a segment: `offset` is just past a slash.
      let start = offset
      offset = Octets.skip(.plainPath, base, offset, count)
      while offset < count, isNormalEscape(base, offset, count) {
        offset = Octets.skip(.plainPath, base, offset &+ 3, count)
      }
      if offset > start, base.load(fromByteOffset: start, as: UInt8.self) == dot,
        offset &- start == 1
          || (offset &- start == 2 && base.load(fromByteOffset: start &+ 1, as: UInt8.self) == dot)
      {
        return false
      }
      if offset == count { return true }
      guard base.load(fromByteOffset: offset, as: UInt8.self) == slash, offset > start else { return false }
      offset &+= 1
    }
  }

  /// Whether there is an escape at `offset` that `normalize` would leave as it is.
  @inline(__always)
  private static func isNormalEscape(_ base: UnsafeRawPointer, _ offset: Int, _ end: Int) -> Bool {
    guard base.load(fromByteOffset: offset, as: UInt8.self) == UInt8(ascii: "%"), offset &+ 2 < end,
      let high = hexadecimal(base, offset &+ 1), let low = hexadecimal(base, offset &+ 2),
      base.load(fromByteOffset: offset &+ 1, as: UInt8.self) < UInt8(ascii: "a"),
      base.load(fromByteOffset: offset &+ 2, as: UInt8.self) < UInt8(ascii: "a")
    else { return false }
    let octet = UInt8(truncatingIfNeeded: high &<< 4 | low)
    return !isForbidden(octet) && !Octets.isIn(.plainPath, octet)
  }

  /// Whether an octet must not be escaped in a path.
  private static func isForbidden(_ octet: UInt8) -> Bool {
    octet == 0 || octet == slash || octet == UInt8(ascii: "\\")
  }

  /// Writes the normal form of a path.
  ///
  /// - Parameters:
  ///   - raw: `RequestHead.path`: begins with `/`; or is `*`, which is kept; or is empty, which becomes `/`.
  ///   - output: At least as long as `raw`, and 1 byte at least. May be the same memory.
  /// - Returns: Bytes written: at most `max(raw.count, 1)`. Normalising them again changes nothing.
  /// - Throws: 400; then what is in `output` means nothing.
  public static func normalize(
    _ raw: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(RequestError) -> Int {
    precondition(output.count >= max(raw.count, 1), "The output is shorter than the path")
    guard let base = raw.baseAddress, raw.count > 0 else {
      output[0] = slash
      return 1
    }
    if raw.count == 1, raw[0] == asterisk {
      output[0] = asterisk
      return 1
    }
    guard raw[0] == slash else { throw .malformedPath }
    output[0] = slash
    var written = 1  // just past a slash, between segments
    var offset = 1
    while offset < raw.count {
      let start = written
      try copySegment(base, &offset, raw.count, output, &written)
      let isLast = offset == raw.count
      offset &+= 1
      switch kind(output, start, written) {
      case .empty, .current:
        written = start
      case .parent:
        written = start
        if written > 1 {
          written &-= 1
          while output[written &- 1] != slash { written &-= 1 }
        }
      case .ordinary:
        guard !isLast else { break }
        output[written] = slash
        written &+= 1
      }
    }
    return written
  }

  private static var slash: UInt8 { UInt8(ascii: "/") }
  private static var dot: UInt8 { UInt8(ascii: ".") }
  private static var asterisk: UInt8 { UInt8(ascii: "*") }

  private enum Segment { case empty, current, parent, ordinary }

  private static func kind(_ output: UnsafeMutableRawBufferPointer, _ start: Int, _ end: Int) -> Segment {
    switch end &- start {
    case 0: .empty
    case 1: output[start] == dot ? .current : .ordinary
    case 2: output[start] == dot && output[start &+ 1] == dot ? .parent : .ordinary
    default: .ordinary
    }
  }

  /// Copies from `offset` up to a slash or the end, decoding what may be decoded.
  @inline(__always)
  private static func copySegment(
    _ base: UnsafeRawPointer, _ offset: inout Int, _ end: Int,
    _ output: UnsafeMutableRawBufferPointer, _ written: inout Int
  ) throws(RequestError) {
    while offset < end {
      let octet = base.load(fromByteOffset: offset, as: UInt8.self)
      if octet == slash { return }
      if octet == UInt8(ascii: "%") {
        guard offset &+ 2 < end,
          let high = hexadecimal(base, offset &+ 1), let low = hexadecimal(base, offset &+ 2)
        else { throw .malformedEscape }
        try appendEscape(UInt8(truncatingIfNeeded: high &<< 4 | low), output, &written)
        offset &+= 3
      } else {
        guard Octets.isIn(.plainPath, octet) else { throw .malformedPath }
        output[written] = octet
        written &+= 1
        offset &+= 1
      }
    }
  }

  private static func appendEscape(
    _ octet: UInt8, _ output: UnsafeMutableRawBufferPointer, _ written: inout Int
  ) throws(RequestError) {
    guard !isForbidden(octet) else { throw .forbiddenEscape }
    if Octets.isIn(.plainPath, octet) {
      output[written] = octet
      written &+= 1
    } else {
      output[written] = UInt8(ascii: "%")
      output[written &+ 1] = upperHexadecimal(octet &>> 4)
      output[written &+ 2] = upperHexadecimal(octet & 0xF)
      written &+= 3
    }
  }

  private static func hexadecimal(_ base: UnsafeRawPointer, _ offset: Int) -> Int? {
    Octets.value(ofHexadecimal: base.load(fromByteOffset: offset, as: UInt8.self))
  }

  private static func upperHexadecimal(_ digit: UInt8) -> UInt8 {
    digit < 10 ? 0x30 &+ digit : 0x37 &+ digit
  }
}
