/// Where a Redis is, and as whom: `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, as the IANA registers the scheme.
public struct RedisAddress: Sendable, Equatable, CustomStringConvertible {
  /// A name, or an address without brackets.
  public let host: String
  public let port: UInt16
  /// Empty: the default user.
  public let user: String
  /// Empty: none is sent.
  public let password: String
  public let database: Int

  /// - Throws: `RedisAddressError` says what is wrong, and does not quote what may be a password.
  public init(parsing text: String) throws(RedisAddressError) {
    guard let colon = text.firstRange(of: "://") else { throw RedisAddressError("is no redis:// URL") }
    switch text[..<colon.lowerBound] {
    case "redis": break
    case "rediss":
      throw RedisAddressError("rediss:// (TLS) is not supported: put a TLS tunnel such as stunnel beside it")
    case let scheme: throw RedisAddressError("the scheme \"\(scheme)\" is not redis")
    }
    var rest = text[colon.upperBound...]
    guard !rest.contains("?"), !rest.contains("#") else {
      throw RedisAddressError("takes no query and no fragment; write ? and # in a password as %3F and %23")
    }
    (user, password) = try Self.takeCredentials(&rest)
    database = try Self.takeDatabase(&rest)
    (host, port) = try Self.endpoint(rest)
  }

  /// Without user and password: for people.
  public var description: String {
    let host = host.contains(":") ? "[\(host)]" : host
    return "\(host):\(port)\(database == 0 ? "" : "/\(database)")"
  }

  private static func takeCredentials(_ rest: inout Substring) throws(RedisAddressError) -> (String, String) {
    guard let at = rest.lastIndex(of: "@") else { return ("", "") }
    let parts = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    rest = rest[rest.index(after: at)...]
    guard let user = decoded(parts[0]), let password = decoded(parts.count > 1 ? parts[1] : "") else {
      throw RedisAddressError("user or password has a % without two hexadecimal digits; write %25 for %")
    }
    guard !password.isEmpty else { throw RedisAddressError("has a user without a password: USER:PASSWORD@") }
    return (user, password)
  }

  private static func takeDatabase(_ rest: inout Substring) throws(RedisAddressError) -> Int {
    guard let slash = rest.firstIndex(of: "/") else { return 0 }
    let text = rest[rest.index(after: slash)...]
    rest = rest[..<slash]
    guard !text.isEmpty else { return 0 }
    guard text.utf8.allSatisfy(isDigit), let database = Int(text) else {
      throw RedisAddressError("\"\(text)\" is no database: a number follows the slash")
    }
    return database
  }

  private static func endpoint(_ text: Substring) throws(RedisAddressError) -> (String, UInt16) {
    var host = text
    var port: Substring?
    if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
      host = text[text.index(after: text.startIndex)..<end]
      let rest = text[text.index(after: end)...]
      guard rest.isEmpty || rest.hasPrefix(":") else { throw RedisAddressError("has text after ]") }
      port = rest.isEmpty ? nil : rest.dropFirst()
    } else if let colon = text.firstIndex(of: ":") {
      host = text[..<colon]
      port = text[text.index(after: colon)...]
    }
    guard !host.isEmpty else { throw RedisAddressError("names no host") }
    guard let port else { return (String(host), 6379) }
    guard port.utf8.allSatisfy(isDigit), let number = UInt16(port), number > 0 else {
      throw RedisAddressError("\"\(port)\" is no port; an IPv6 address stands in brackets")
    }
    return (String(host), number)
  }

  /// Percent-decoded (RFC 3986 section 2.1); nil if it is malformed, or not UTF-8.
  private static func decoded(_ text: Substring) -> String? {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      guard let high = rest.popFirst().flatMap(hexadecimal), let low = rest.popFirst().flatMap(hexadecimal)
      else { return nil }
      bytes.append(high << 4 | low)
    }
    return String(validating: bytes, as: UTF8.self)
  }

  private static func hexadecimal(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"):
      (byte | 0x20) - UInt8(ascii: "a") + 10
    default: nil
    }
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
  }
}

/// Why a text is no address of a Redis.
public struct RedisAddressError: Error, Equatable, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
}
