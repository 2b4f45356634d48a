extension ListenAddress {
  /// `127.0.0.1:8080`, `[::]:80` or `unix:/run/bulkhead.sock`; port 0 lets the kernel choose.
  static func parse(_ text: String, paths: FilePaths) throws(InvalidValue) -> ListenAddress {
    let shown = text.quotedForMessage
    if text.hasPrefix("unix:") {
      let path = paths.resolve(String(text.dropFirst(5)))
      guard text.utf8.count > 5 else { throw InvalidValue("is \(shown), which has no path") }
      // sun_path, unix(7), with its NUL.
      guard path.utf8.count <= 107 else {
        throw InvalidValue(
          "is \(path.quotedForMessage), longer than the 107 bytes that a socket's path may have")
      }
      return .unix(path: path)
    }
    guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")), !text.hasSuffix("]") else {
      throw InvalidValue(
        "is \(shown), which has no port; write 127.0.0.1:8080, [::]:80 or unix:/run/bulkhead.sock")
    }
    let host = text[..<colon]
    let port = try ListenAddress.port(String(text[text.index(after: colon)...]))
    if host.hasPrefix("["), host.hasSuffix("]") {
      guard let address = IPAddress(String(host.dropFirst().dropLast())), address.bytes.count == 16 else {
        throw InvalidValue("is \(shown), which has no IPv6 address in its brackets")
      }
      return .ipv6(address.text, port: port)
    }
    if host.isEmpty || host == "*" {
      throw InvalidValue(
        "is \(shown), which has no address; write 0.0.0.0:\(port), or [::]:\(port) for IPv6 too")
    }
    if host.utf8.contains(UInt8(ascii: ":")) {
      throw InvalidValue("is \(shown); an IPv6 address stands in brackets: [::1]:\(port)")
    }
    guard let address = IPAddress(String(host)) else {
      throw InvalidValue("is \(shown), whose host is no numeric address; write 127.0.0.1:\(port)")
    }
    return .ipv4(address.text, port: port)
  }

  static func port(_ text: String) throws(InvalidValue) -> UInt16 {
    guard text.utf8.allSatisfy(ValueText.isDigit), let port = UInt16(text) else {
      throw InvalidValue("has the port \(text.quotedForMessage), which is not in 0...65535")
    }
    return port
  }

  /// The same address with another port; Unix sockets have none.
  func withPort(_ port: UInt16) -> ListenAddress {
    switch self {
    case .ipv4(let address, _): .ipv4(address, port: port)
    case .ipv6(let address, _): .ipv6(address, port: port)
    case .unix: self
    }
  }

  /// As it would stand in the file.
  var text: String {
    switch self {
    case .ipv4(let address, let port): "\(address):\(port)"
    case .ipv6(let address, let port): "[\(address)]:\(port)"
    case .unix(let path): "unix:\(path)"
    }
  }

  /// True if only one of the two can be listened on: they are the same, or one stands for all addresses of the machine.
  func excludes(_ other: ListenAddress) -> Bool {
    func areOne(_ first: String, _ second: String, any: String) -> Bool {
      first == second || first == any || second == any
    }
    return switch (self, other) {
    case (.ipv4(let first, let port), .ipv4(let second, let otherPort)):
      port != 0 && port == otherPort && areOne(first, second, any: "0.0.0.0")
    case (.ipv6(let first, let port), .ipv6(let second, let otherPort)):
      port != 0 && port == otherPort && areOne(first, second, any: "::")
    case (.unix(let first), .unix(let second)): first == second
    default: false
    }
  }

  /// Port 0 is a new port each time, so two of them do not collide.
  var isAnyPort: Bool {
    switch self {
    case .ipv4(_, let port), .ipv6(_, let port): port == 0
    case .unix: false
    }
  }
}
