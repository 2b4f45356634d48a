import PluginABI

/// Who a request comes from. Set once a request, by one middleware; the host enforces access by it.
public struct Identity: Sendable, Equatable {
  /// Stable and unique; never empty.
  public var subject: String
  /// May be empty.
  public var email: String
  /// May be empty.
  public var role: String
  public var scopes: [String]
  /// Unix time in seconds; `nil`: does not expire.
  public var expiresAt: Int64?

  public init(
    subject: String, email: String = "", role: String = "", scopes: [String] = [], expiresAt: Int64? = nil
  ) {
    self.subject = subject
    self.email = email
    self.role = role
    self.scopes = scopes
    self.expiresAt = expiresAt
  }
}

extension Request {
  /// Who the request comes from; `nil` if no middleware has said so.
  public var identity: Identity? {
    guard let raw = services.table.pointee.identity(exchange) else { return nil }
    return Identity(raw.pointee)
  }

  /// The bytes of the identity's subject, without a copy; `nil` if there is no identity.
  public func withSubject<R>(_ body: (UnsafeRawBufferPointer?) throws -> R) rethrows -> R {
    try body(services.table.pointee.identity(exchange)?.pointee.subject.buffer)
  }

  /// Says who the request comes from.
  ///
  /// - Throws: ``HostRefusal/identity`` if somebody has said so already, or the subject is empty.
  public func setIdentity(_ identity: Identity) throws {
    let status = identity.withRaw { services.table.pointee.set_identity(exchange, $0) }
    guard status == Status.ok else { throw HostRefusal.identity }
  }

  /// A value that a plugin has left for this request, by convention named `PLUGIN.NAME`; `nil` if nobody has.
  public func attribute(_ name: String) -> [UInt8]? {
    name.withBytes { name in
      var value = bh_bytes()
      return services.table.pointee.attribute(exchange, name, &value) ? value.array : nil
    }
  }

  /// Leaves a value for later plugins and phases of this request, in place of an earlier one of the same name.
  ///
  /// - Throws: ``HostRefusal/attribute(name:)`` past 32 of them.
  public func setAttribute(_ name: String, _ value: some Collection<UInt8>) throws {
    let status = name.withBytes { name in
      value.withBytes { services.table.pointee.set_attribute(exchange, name, $0) }
    }
    guard status == Status.ok else { throw HostRefusal.attribute(name: name) }
  }
}

extension Identity {
  init(_ raw: bh_identity) {
    self.init(
      subject: raw.subject.string, email: raw.email.string, role: raw.role.string,
      scopes: (0..<raw.scope_count).map { raw.scopes[$0].string },
      expiresAt: raw.expires_at == 0 ? nil : raw.expires_at)
  }

  /// Views of the strings, for the time of the call.
  func withRaw<R>(_ body: (UnsafePointer<bh_identity>) throws -> R) rethrows -> R {
    try subject.withBytes { subject in
      try email.withBytes { email in
        try role.withBytes { role in
          try withRawScopes { scopes in
            var raw = bh_identity()
            raw.size = UInt32(MemoryLayout<bh_identity>.size)
            raw.subject = subject
            raw.email = email
            raw.role = role
            raw.scopes = scopes.baseAddress
            raw.scope_count = scopes.count
            raw.expires_at = expiresAt ?? 0
            return try body(&raw)
          }
        }
      }
    }
  }

  /// The scopes' bytes in one buffer, and views into it.
  private func withRawScopes<R>(_ body: (UnsafeBufferPointer<bh_bytes>) throws -> R) rethrows -> R {
    guard !scopes.isEmpty else { return try body(UnsafeBufferPointer(start: nil, count: 0)) }
    var bytes: [UInt8] = []
    for scope in scopes { bytes.append(contentsOf: scope.utf8) }
    return try bytes.withUnsafeBytes { bytes in
      var views: [bh_bytes] = []
      views.reserveCapacity(scopes.count)
      var offset = 0
      for scope in scopes {
        let end = offset + scope.utf8.count
        views.append(bh_bytes(UnsafeRawBufferPointer(rebasing: bytes[offset..<end])))
        offset = end
      }
      return try views.withUnsafeBufferPointer(body)
    }
  }
}
