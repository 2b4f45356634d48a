import Foundation

/// Where a host listens: what a client connects to.
public enum Endpoint: Sendable, Equatable, CustomStringConvertible {
  /// `address` is numeric.
  case ipv4(address: String, port: UInt16)
  /// `address` is numeric, without brackets.
  case ipv6(address: String, port: UInt16)
  case unix(path: String)

  /// Reads `127.0.0.1:8080`, `[::1]:8080` or `unix:/path`; nil for anything else.
  public init?(_ text: some StringProtocol) {
    if text.hasPrefix("unix:") {
      self = .unix(path: String(text.dropFirst(5)))
      return
    }
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
      return nil
    }
    let address = text[..<colon]
    if address.hasPrefix("["), address.hasSuffix("]") {
      self = .ipv6(address: String(address.dropFirst().dropLast()), port: port)
    } else {
      self = .ipv4(address: String(address), port: port)
    }
  }

  public var description: String {
    switch self {
    case .ipv4(let address, let port): "\(address):\(port)"
    case .ipv6(let address, let port): "[\(address)]:\(port)"
    case .unix(let path): "unix:\(path)"
    }
  }

  /// What a client puts in its Host field.
  public var authority: String {
    if case .unix = self { "localhost" } else { description }
  }
}
