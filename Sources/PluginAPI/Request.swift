import PluginABI

/// One request, as the host understood it, with its response in the making.
///
/// A view into the connection's buffer: it is only ever lent, and can be neither copied nor kept. Each property that is
/// a `String` makes a copy when it is read; the `with…` functions hand out the bytes themselves.
public struct Request: ~Copyable {
  // Invariant: `raw` and `exchange` live as long as the call of the plugin in which this value is made.
  @usableFromInline let raw: UnsafePointer<bh_request>
  @usableFromInline let exchange: OpaquePointer
  @usableFromInline let services: Host

  @inlinable init(raw: UnsafePointer<bh_request>, exchange: OpaquePointer, services: Host) {
    self.raw = raw
    self.exchange = exchange
    self.services = services
  }

  // MARK: What was asked for

  public var method: Method { raw.pointee.swiftMethod }

  /// Normalised once by the host (RFC 3986 section 6.2.2): begins with `/`.
  public var path: String { raw.pointee.path.string }

  /// After `?`, undecoded; empty if there is none. See ``queryParameter(_:)``.
  public var query: String { raw.pointee.query.string }

  /// The Host field, or an absolute target's authority; may be empty in HTTP/1.0.
  public var authority: String { raw.pointee.authority.string }

  /// The header fields.
  public var headers: Headers {
    _read {
      yield Headers(fields: UnsafeBufferPointer(start: raw.pointee.fields, count: raw.pointee.field_count))
    }
  }

  /// The bytes of ``path``, without a copy.
  @inlinable public func withPath<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    try body(raw.pointee.path.buffer)
  }

  // MARK: The route

  /// Who may call the route that matched, or that none did.
  public enum Access: Sendable, Equatable {
    case `public`, authenticated, role
    /// No route matched.
    case none
  }

  /// The pattern that matched, mount included; empty if none did.
  public var route: String { raw.pointee.route.string }

  public var access: Access {
    switch Int(raw.pointee.access) {
    case Int(BH_ACCESS_PUBLIC): .public
    case Int(BH_ACCESS_AUTHENTICATED): .authenticated
    case Int(BH_ACCESS_ROLE): .role
    default: .none
    }
  }

  /// The segment that stands for `{name}` in the route's pattern, percent-decoded; `nil` if the pattern has no such.
  public subscript(parameter name: String) -> String? {
    name.withBytes { name in
      for index in 0..<raw.pointee.parameter_count {
        let parameter = raw.pointee.parameters[index]
        if parameter.name.buffer.elementsEqual(name.buffer) { return parameter.value.string }
      }
      return nil
    }
  }

  // MARK: Body

  /// Whole, transfer coding removed; empty if the route reads it as it arrives; `nil` if it is not UTF-8.
  public var body: String? { withBody { String(validating: $0, as: UTF8.self) } }

  /// In bytes.
  public var bodyCount: Int { raw.pointee.body.count }

  /// The bytes of the body, without a copy.
  @inlinable public func withBody<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    try body(raw.pointee.body.buffer)
  }

  // MARK: Where it came from

  /// IPv4, IPv6 without brackets, or `unix`.
  public var clientAddress: String { raw.pointee.client_address.string }

  /// The client's address in network order: 4 or 16 bytes, none for a Unix socket.
  @inlinable public func withClientIP<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    try body(raw.pointee.client_ip.buffer)
  }

  /// Whether the peer is one of the host's `trusted-proxies`.
  public var isFromTrustedPeer: Bool { raw.pointee.trusted_peer != 0 }

  public var requestID: String { raw.pointee.request_id.string }

  /// W3C Trace Context: of the request, or made by the host.
  public var traceparent: String { raw.pointee.traceparent.string }

  /// Until the request's deadline; negative once it is past.
  public var remaining: Duration {
    .nanoseconds(Int64(truncatingIfNeeded: raw.pointee.deadline_ns &- services.monotonicNanoseconds))
  }

  // MARK: The response, and the log

  /// The response in the making, to be edited in any phase.
  public var response: ResponseEditor {
    _read { yield ResponseEditor(exchange: exchange, services: services) }
  }

  /// One line in the host's log, with the plugin's name and the request's id. Capped per plugin.
  public func log(_ level: LogLevel, _ message: @autoclosure () -> String) {
    message().withBytes { services.table.pointee.log(services.context, exchange, level.raw, $0) }
  }
}
