import PluginAPI

extension Limit.Partition {
  /// What a key is made from. Part of the key, so that nobody can pass for an address by naming a subject after
  /// it.
  enum Kind: UInt64 {
    case address = 1
    case subject = 2
    case header = 3
  }

  /// The keyed hash of whose request this is, under one limit.
  func key(of request: borrowing Request, under limit: UInt64, by hash: SipHash) -> UInt64 {
    withClient(of: request) { kind, bytes in hash.hash(prefix: limit ^ kind.rawValue, bytes) }
  }

  /// Lends the bytes that tell whose request this is.
  @inline(__always)
  func withClient<Result>(
    of request: borrowing Request, _ body: (Kind, UnsafeRawBufferPointer) -> Result
  ) -> Result {
    let result: Result? =
      switch self {
      case .identity: request.withSubject { subject in subject.map { body(.subject, $0) } }
      case .header(let name): request.headers.withBytes(name) { value in value.map { body(.header, $0) } }
      case .address: nil
      }
    return result ?? request.withClientIP { body(.address, network($0)) }
  }
}

/// What stands for a client's address: an IPv4 address, also one mapped into IPv6 (RFC 4291 section 2.5.5.2);
/// the /64 of an IPv6 address, which is the least that a subscriber is given (RFC 6177); nothing for a Unix
/// socket.
func network(_ address: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
  guard address.count == 16 else { return address }
  let isMapped = address[..<10].allSatisfy { $0 == 0 } && address[10] == 0xFF && address[11] == 0xFF
  return UnsafeRawBufferPointer(rebasing: isMapped ? address[12...] : address[..<8])
}
