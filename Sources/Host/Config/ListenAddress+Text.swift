extension ListenAddress {
  /// `127.0.0.1:8080`, `[::]:80` or `unix:/run/bulkhead.sock`; port 0 lets the kernel choose.
  static func parse(_ text: String, paths: FilePaths) throws(InvalidValue) -> ListenAddress {
    let shown = text.quotedForMessage
    if text.hasPrefix("unix:") {
      let path = paths.resolve(String(text.dropFirst(5)))
      guard text.utf8.count > 5 else { throw InvalidValue("is \(shown), which has no path") }
      _ = try ValueText.path(path)
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
  func excludes(_ other: ListenAddress) -> Bool { !ListenAddress.exclusions(among: [self, other]).isEmpty }

  /// Of each address, the first one before it beside which it cannot be had, if there is one: they are the same, or one
  /// stands for all addresses of the machine. By index.
  static func exclusions(among addresses: [ListenAddress]) -> [(index: Int, first: Int)] {
    var same: [ListenAddress: Int] = [:]
    /// By the address that stands for all, with its port: that one, and any at its port.
    var every: [ListenAddress: Int] = [:]
    var any: [ListenAddress: Int] = [:]
    var found: [(index: Int, first: Int)] = []
    for (index, address) in addresses.enumerated() where !address.isAnyPort {
      let all = address.ofEveryInterface
      let rivals = [same[address], all.flatMap { every[$0] }, all == address ? any[address] : nil]
      if let first = rivals.compactMap({ $0 }).min() { found.append((index, first)) }
      if same[address] == nil { same[address] = index }
      guard let all else { continue }
      if any[all] == nil { any[all] = index }
      if all == address, every[all] == nil { every[all] = index }
    }
    return found
  }

  /// What stands for all addresses of its family, at its port; nil for a Unix socket.
  private var ofEveryInterface: ListenAddress? {
    switch self {
    case .ipv4(_, let port): .ipv4("0.0.0.0", port: port)
    case .ipv6(_, let port): .ipv6("::", port: port)
    case .unix: nil
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
