import PluginAPI

extension Limit.Partition {
  /// The keyed hash of whose request this is, under one limit.
  ///
  /// What it is hashed from is marked by kind, so that nobody can pass for an address by naming a subject
  /// after it.
  func key(of request: borrowing Request, under limit: UInt64, by hash: SipHash) -> UInt64 {
    switch self {
    case .identity:
      let key = request.withSubject { subject in subject.map { hash.hash(prefix: limit ^ 2, $0) } }
      return key ?? addressKey(of: request, under: limit, by: hash)
    case .header(let name):
      let key = request.headers.withBytes(name) { value in value.map { hash.hash(prefix: limit ^ 3, $0) } }
      return key ?? addressKey(of: request, under: limit, by: hash)
    case .address:
      return addressKey(of: request, under: limit, by: hash)
    }
  }

  private func addressKey(of request: borrowing Request, under limit: UInt64, by hash: SipHash) -> UInt64 {
    request.withClientIP { hash.hash(prefix: limit ^ 1, network($0)) }
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
