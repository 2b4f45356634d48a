import PluginABI

/// The response in the making: what has been set in any phase, by any plugin, and stays on what is sent at last.
///
/// Lent by ``Request/response``, and not to be kept.
public struct ResponseEditor: ~Copyable {
  @usableFromInline let exchange: OpaquePointer
  @usableFromInline let services: Host

  init(exchange: OpaquePointer, services: Host) {
    self.exchange = exchange
    self.services = services
  }

  /// 200...599; 0 while no plugin has made a response.
  public var status: Int { Int(services.table.pointee.status(exchange)) }

  /// - Throws: ``HostRefusal/status(_:)`` if it is not within 200...599.
  public func setStatus(_ status: Int) throws {
    guard let raw = UInt32(exactly: status),
      services.table.pointee.set_status(exchange, raw) == Status.ok
    else { throw HostRefusal.status(status) }
  }

  /// Sets a field, in place of any of the same name.
  ///
  /// - Throws: ``HostRefusal/header(name:)`` if it is no field (CR, LF and NUL above all), or one of the host's own.
  public func setHeader(_ name: String, _ value: String) throws {
    let status = name.withBytes { name in
      value.withBytes { services.table.pointee.set_header(exchange, name, $0) }
    }
    guard status == Status.ok else { throw HostRefusal.header(name: name) }
  }

  /// Adds a field beside those of the same name.
  ///
  /// - Throws: as ``setHeader(_:_:)``.
  public func addHeader(_ name: String, _ value: String) throws {
    let status = name.withBytes { name in
      value.withBytes { services.table.pointee.add_header(exchange, name, $0) }
    }
    guard status == Status.ok else { throw HostRefusal.header(name: name) }
  }

  /// Removes all fields of a name.
  public func removeHeader(_ name: String) {
    name.withBytes { services.table.pointee.remove_header(exchange, $0) }
  }

  /// The first value of a field; `nil` if there is none.
  public func header(_ name: String) -> String? {
    name.withBytes { name in
      var value = bh_bytes()
      return services.table.pointee.header(exchange, name, &value) ? value.string : nil
    }
  }

  /// A copy of the body as it stands.
  public var body: [UInt8] { withBody { [UInt8]($0) } }

  /// The bytes of the body as it stands, without a copy. `body` must not change the response.
  @inlinable public func withBody<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    try body(services.table.pointee.body(exchange).buffer)
  }

  /// Replaces the body.
  public func setBody(_ body: some Collection<UInt8>) {
    body.withBytes { services.table.pointee.set_body(exchange, $0) }
  }

  /// Replaces the body.
  public func setBody(_ body: String) {
    body.withBytes { services.table.pointee.set_body(exchange, $0) }
  }

  /// Declares that this plugin has decided CORS for this response, if by leaving every field away: the host's own
  /// policy then keeps out.
  ///
  /// - Throws: ``HostRefusal/decideCORS`` if the plugin does not state ``Middleware/decidesCORS``.
  public func decideCORS() throws {
    guard services.table.pointee.decide_cors(exchange) == Status.ok else { throw HostRefusal.decideCORS }
  }
}
