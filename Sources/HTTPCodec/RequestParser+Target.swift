// The request target (RFC 9112 section 3.2): a path and query, an absolute http or https URI, or `*`.
extension RequestParser {
  /// The target runs from `target.start`; `mark` is the start of the part being read.
  @inline(__always)
  mutating func parseTarget(
    _ base: UnsafeRawPointer, _ offset: inout Int, _ end: Int, _ head: inout RequestHead
  ) throws(RequestError) -> Bool {
    if state == .targetStart {
      guard offset < end else { return false }
      head.target = ByteRange(start: offset, count: 0)
      if base.load(fromByteOffset: offset, as: UInt8.self) == UInt8(ascii: "/") {
        state = .path
        offset &+= 1
      } else {
        try startOtherForm(base.load(fromByteOffset: offset, as: UInt8.self), &offset)
      }
    }
    if state.rawValue < State.path.rawValue {
      guard try parseOtherForm(base, &offset, end, &head) else { return false }
    }
    if state == .path {
      offset = Octets.skip(.path, base, offset, end)
      try checkTarget(offset, head.target.start)
      guard offset < end else { return false }
      head.path = ByteRange(from: mark, to: offset)
      if base.load(fromByteOffset: offset, as: UInt8.self) == UInt8(ascii: "?") {
        state = .query
        offset &+= 1
        mark = offset
      }
    }
    if state == .query {
      offset = Octets.skip(.query, base, offset, end)
      try checkTarget(offset, head.target.start)
      guard offset < end else { return false }
      head.query = ByteRange(from: mark, to: offset)
    }
    let octet = base.load(fromByteOffset: offset, as: UInt8.self)
    guard octet == Octets.space else { throw Self.targetError(octet) }
    head.target = ByteRange(from: head.target.start, to: offset)
    offset &+= 1
    mark = offset
    state = .version
    return true
  }

  @inline(__always)
  private func checkTarget(_ offset: Int, _ start: Int) throws(RequestError) {
    if offset &- start > limits.maxTarget { throw .targetTooLong }
  }

  @inline(never)
  private static func targetError(_ octet: UInt8) -> RequestError {
    switch octet {
    case UInt8(ascii: "#"): .fragmentInTarget
    case Octets.carriageReturn, Octets.lineFeed: .malformedRequestLine
    default: .malformedTarget
    }
  }

  /// A target that does not begin with `/`: `*`, or an absolute URI.
  @inline(never)
  private mutating func startOtherForm(_ octet: UInt8, _ offset: inout Int) throws(RequestError) {
    switch octet {
    case UInt8(ascii: "*"):
      state = .asterisk
      offset &+= 1
    case UInt8(ascii: "h"), UInt8(ascii: "H"): state = .scheme
    case Octets.space, Octets.carriageReturn, Octets.lineFeed: throw .malformedRequestLine
    case UInt8(ascii: "#"): throw .fragmentInTarget
    case 0x21...0x7E: throw .unsupportedTargetForm
    default: throw .malformedTarget
    }
  }

  @inline(never)
  private mutating func parseOtherForm(
    _ base: UnsafeRawPointer, _ offset: inout Int, _ end: Int, _ head: inout RequestHead
  ) throws(RequestError) -> Bool {
    if state == .asterisk {
      guard offset < end else { return false }
      guard base.load(fromByteOffset: offset, as: UInt8.self) == Octets.space else {
        throw .unsupportedTargetForm
      }
      if head.method != .options {
        let name = UnsafeRawBufferPointer(start: base + head.methodName.start, count: head.methodName.count)
        throw FieldSyntax.equals(name, "PRI") ? .http2Preface : .asteriskOutsideOptions
      }
      head.path = ByteRange(from: mark, to: offset)
      state = .query  // an empty one, which the space ends
      mark = offset
      return true
    }
    if state == .scheme {
      guard try parseScheme(base, &offset, end) else { return false }
      mark = offset
      state = .authority
    }
    // The authority, up to the path, the query, or the end of the target.
    while offset < end, Self.isAuthority(base.load(fromByteOffset: offset, as: UInt8.self)) { offset &+= 1 }
    try checkTarget(offset, head.target.start)
    guard offset < end else { return false }
    switch base.load(fromByteOffset: offset, as: UInt8.self) {
    case UInt8(ascii: "/"), UInt8(ascii: "?"), Octets.space: break
    case UInt8(ascii: "#"): throw .fragmentInTarget
    case Octets.carriageReturn, Octets.lineFeed: throw .malformedRequestLine
    default: throw .malformedAuthority
    }
    let authority = UnsafeRawBufferPointer(start: base + mark, count: offset &- mark)
    guard FieldSyntax.isWellFormedHost(authority) else { throw .malformedAuthority }
    head.authority = ByteRange(from: mark, to: offset)
    seen.insert(.targetAuthority)
    mark = offset
    state = .path
    return true
  }

  private static func isAuthority(_ octet: UInt8) -> Bool {
    Octets.isIn(.registeredName, octet) || octet == UInt8(ascii: ":") || octet == UInt8(ascii: "[")
      || octet == UInt8(ascii: "]")
  }

  /// `http://` or `https://`, in any case, from `mark` on.
  private func parseScheme(
    _ base: UnsafeRawPointer, _ offset: inout Int, _ end: Int
  ) throws(RequestError) -> Bool {
    while offset < end {
      let index = offset &- mark
      let letter = FieldSyntax.lowercased(base.load(fromByteOffset: offset, as: UInt8.self))
      let fifth = index == 4 ? letter : index > 4 ? base.load(fromByteOffset: mark &+ 4, as: UInt8.self) : 0
      let template: StaticString = FieldSyntax.lowercased(fifth) == UInt8(ascii: "s") ? "https://" : "http://"
      guard letter == template.utf8Start[index] else { throw .unsupportedTargetForm }
      offset &+= 1
      if offset &- mark > limits.maxTarget { throw .targetTooLong }
      if offset &- mark == template.utf8CodeUnitCount { return true }
    }
    return false
  }
}
