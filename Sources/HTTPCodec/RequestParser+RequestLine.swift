// The request line (RFC 9112 section 3). Each step reads from `offset` on; when the bytes run out it leaves the state
// so that the next call goes on there, and returns false.
extension RequestParser {
  mutating func parseRequestLine(
    _ base: UnsafeRawPointer, _ end: Int, _ head: inout RequestHead
  ) throws(RequestError) -> Bool {
    var offset = position
    if state == .method {
      guard try parseMethod(base, &offset, end, &head) else { return false }
    }
    if state.rawValue < State.version.rawValue {
      guard try parseTarget(base, &offset, end, &head) else { return false }
    }
    return try parseVersion(base, &offset, end, &head)
  }

  // MARK: Method

  @inline(__always)
  private mutating func parseMethod(
    _ base: UnsafeRawPointer, _ offset: inout Int, _ end: Int, _ head: inout RequestHead
  ) throws(RequestError) -> Bool {
    if offset &+ 4 <= end, offset == mark, Self.word32(base, offset) == 0x2054_4547 {  // "GET "
      head.method = .get
      head.methodName = ByteRange(start: mark, count: 3)
      offset &+= 4
    } else {
      offset = Octets.skip(.token, base, offset, end)
      if offset &- mark > Self.maxMethod { throw .methodTooLong }
      guard offset < end else { return false }
      guard offset > mark, base.load(fromByteOffset: offset, as: UInt8.self) == Octets.space else {
        throw .malformedMethod
      }
      head.methodName = ByteRange(from: mark, to: offset)
      head.method = try Self.method(base + mark, offset &- mark)
      offset &+= 1
    }
    mark = offset
    state = .targetStart
    return true
  }

  @inline(__always)
  private static func word32(_ base: UnsafeRawPointer, _ offset: Int) -> UInt32 {
    UInt32(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }

  private static func method(_ name: UnsafeRawPointer, _ count: Int) throws(RequestError) -> Method {
    let bytes = UnsafeRawBufferPointer(start: name, count: count)
    func `is`(_ other: StaticString) -> Bool { FieldSyntax.equals(bytes, other) }
    switch count {
    case 3: return `is`("GET") ? .get : `is`("PUT") ? .put : .other
    case 4: return `is`("POST") ? .post : `is`("HEAD") ? .head : .other
    case 5: return `is`("PATCH") ? .patch : .other
    case 6: return `is`("DELETE") ? .delete : .other
    case 7:
      if `is`("CONNECT") { throw .connectNotImplemented }
      return `is`("OPTIONS") ? .options : .other
    default: return .other
    }
  }

  // MARK: Version

  @inline(__always)
  private mutating func parseVersion(
    _ base: UnsafeRawPointer, _ offset: inout Int, _ end: Int, _ head: inout RequestHead
  ) throws(RequestError) -> Bool {
    if state == .version {
      if offset == mark, offset &+ 10 <= end,
        UInt64(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
          == 0x312E_312F_5054_5448,  // "HTTP/1.1"
        base.loadUnaligned(fromByteOffset: offset &+ 8, as: UInt16.self) == UInt16(littleEndian: 0x0A0D)
      {
        head.versionMinor = 1
        position = offset &+ 10
        state = .fieldStart
        return true
      }
      guard try parseVersionSlowly(base, &offset, end, &head) else { return false }
      state = .requestLineEnd
    }
    if state == .requestLineEnd {
      guard offset < end else { return false }
      switch base.load(fromByteOffset: offset, as: UInt8.self) {
      case Octets.carriageReturn: break
      case Octets.lineFeed: throw .bareLineFeed
      default: throw .malformedRequestLine
      }
      state = .requestLineFeed
      offset &+= 1
    }
    guard offset < end else { return false }
    guard base.load(fromByteOffset: offset, as: UInt8.self) == Octets.lineFeed else {
      throw .bareCarriageReturn
    }
    position = offset &+ 1
    state = .fieldStart
    return true
  }

  @inline(never)
  private func parseVersionSlowly(
    _ base: UnsafeRawPointer, _ offset: inout Int, _ end: Int, _ head: inout RequestHead
  ) throws(RequestError) -> Bool {
    let template: StaticString = "HTTP/1.1"
    while offset < end {
      let octet = base.load(fromByteOffset: offset, as: UInt8.self)
      let index = offset &- mark
      let isDigit = octet &- 0x30 < 10
      guard index == 5 || index == 7 ? isDigit : octet == template.utf8Start[index] else {
        throw .malformedVersion
      }
      offset &+= 1
      guard index == 7 else { continue }
      guard base.load(fromByteOffset: mark &+ 5, as: UInt8.self) == UInt8(ascii: "1"), octet <= 0x31 else {
        throw .unsupportedVersion
      }
      head.versionMinor = Int(octet &- 0x30)
      return true
    }
    return false
  }
}
