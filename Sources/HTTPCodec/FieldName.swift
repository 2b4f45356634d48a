/// The field names that the parser acts on.
enum FieldName {
  case unknown
  case known(KnownField)
  case host, contentLength, transferEncoding, connection, expect

  /// Recognises a name by its length, then by comparing words.
  ///
  /// - Parameters:
  ///   - name: The first of `count` readable token octets.
  ///   - count: 1 or more.
  @inline(__always)
  static func recognize(_ name: UnsafeRawPointer, _ count: Int) -> FieldName {
    switch count {
    case 4: isShort(name, 4, "host") ? .host : .unknown
    case 6:
      isShort(name, 6, "origin") ? .known(.origin) : isShort(name, 6, "expect") ? .expect : .unknown
    case 9: Octets.matches(name, "forwarded") ? .known(.forwarded) : .unknown
    case 10:
      Octets.matches(name, "connection")
        ? .connection : Octets.matches(name, "user-agent") ? .known(.userAgent) : .unknown
    case 11: Octets.matches(name, "traceparent") ? .known(.traceparent) : .unknown
    case 12:
      Octets.matches(name, "content-type")
        ? .known(.contentType) : Octets.matches(name, "x-request-id") ? .known(.requestID) : .unknown
    case 13: Octets.matches(name, "authorization") ? .known(.authorization) : .unknown
    case 14: Octets.matches(name, "content-length") ? .contentLength : .unknown
    case 15: Octets.matches(name, "x-forwarded-for") ? .known(.forwardedFor) : .unknown
    case 17: Octets.matches(name, "transfer-encoding") ? .transferEncoding : .unknown
    case 29:
      Octets.matches(name, "access-control-request-method") ? .known(.accessControlRequestMethod) : .unknown
    case 30:
      Octets.matches(name, "access-control-request-headers") ? .known(.accessControlRequestHeaders) : .unknown
    case 38:
      Octets.matches(name, "access-control-request-private-network")
        ? .known(.accessControlRequestPrivateNetwork) : .unknown
    default: .unknown
    }
  }

  /// As `Octets.matches`, for 4 to 8 octets.
  @inline(__always)
  private static func isShort(_ name: UnsafeRawPointer, _ count: Int, _ lowercased: StaticString) -> Bool {
    let wanted = UnsafeRawPointer(lowercased.utf8Start)
    let first = name.loadUnaligned(as: UInt32.self) | 0x2020_2020
    let last = name.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self) | 0x2020_2020
    return first == wanted.loadUnaligned(as: UInt32.self)
      && last == wanted.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self)
  }
}
