import PluginABI

extension Routes {
  /// How a handler gets a request's body that is not to be held in memory.
  public struct Body: Sendable, Equatable {
    /// Most bytes; 0: the host's `max-body`.
    let limit: UInt64

    /// The handler reads the body itself, as it arrives: ``Request/nextBodyChunk(upTo:)``. The host receives only a little
    /// ahead of it, so a slow handler holds the client back. ``Request/body`` is empty.
    ///
    /// - Parameter limit: most bytes of the body, beyond which the host answers 413; `nil`: the host's `max-body`.
    public static func streamed(limit: Int? = nil) -> Body { Body(limit: UInt64(clamping: limit ?? 0)) }
  }

  /// States one route, whose handler reads its body as it arrives.
  ///
  /// The handler runs on a thread of the host's pool, and keeps it until it returns, also while it waits for the client. The
  /// plugin's `timeout` does not run then, and begins anew with each piece; the wait ends with the host's `body-timeout`, and
  /// at the request's deadline. It need not read to the end.
  ///
  /// - Parameters:
  ///   - method: A method's name as it stands in a request: `"PUT"`.
  ///   - pattern: Below the mount, without a slash at its start.
  ///   - access: Who may call it; whoever may not is answered before the body is received.
  ///   - body: `.streamed(limit: …)`.
  ///   - handler: Makes the response. A thrown ``Problem`` is the response, and a ``RequestBodyError`` leaves it to the
  ///     host; any other error is a fault.
  public mutating func add(
    _ method: String, _ pattern: String, access: Access, body: Body, _ handler: @escaping Handler
  ) {
    state(Route(method: method, pattern: pattern, access: access, execution: .blocking, body: body), handler)
  }

  /// `add("POST", …)`.
  public mutating func post(
    _ pattern: String, access: Access, body: Body, _ handler: @escaping Handler
  ) {
    add("POST", pattern, access: access, body: body, handler)
  }

  /// `add("PUT", …)`.
  public mutating func put(
    _ pattern: String, access: Access, body: Body, _ handler: @escaping Handler
  ) {
    add("PUT", pattern, access: access, body: body, handler)
  }

  /// The same for a handler that may await. Reading does not: it blocks the thread that the handler has to itself.
  public mutating func add(
    _ method: String, _ pattern: String, access: Access, body: Body, _ handler: @escaping AsyncHandler
  ) {
    add(method, pattern, access: access, body: body) { try HandlerExecutor.respond(to: $0, handler) }
  }

  /// `add("POST", …)`.
  public mutating func post(
    _ pattern: String, access: Access, body: Body, _ handler: @escaping AsyncHandler
  ) {
    add("POST", pattern, access: access, body: body, handler)
  }

  /// `add("PUT", …)`.
  public mutating func put(
    _ pattern: String, access: Access, body: Body, _ handler: @escaping AsyncHandler
  ) {
    add("PUT", pattern, access: access, body: body, handler)
  }
}

/// The rest of a body will not come. Thrown on from the handler it is no fault: the host answers the client, if there still
/// is one. What the handler would answer itself is not sent.
public enum RequestBodyError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The client went away in the middle.
  case gone
  /// Its framing is broken: 400.
  case malformed
  /// Longer than the route's limit: 413.
  case tooLarge
  /// Nothing came for the host's `body-timeout`, or not all of it by the request's deadline: 408.
  case late

  public var description: String {
    switch self {
    case .gone: "the client went away before the end of the body"
    case .malformed: "the body's framing is malformed"
    case .tooLarge: "the body is longer than the route's limit"
    case .late: "the body did not arrive in time"
    }
  }

  init?(_ raw: bh_body_error) {
    switch Int(raw) {
    case Int(BH_BODY_NO_ERROR): return nil
    case Int(BH_BODY_MALFORMED): self = .malformed
    case Int(BH_BODY_TOO_LARGE): self = .tooLarge
    case Int(BH_BODY_LATE): self = .late
    default: self = .gone
    }
  }
}

extension Request {
  /// Reads the next bytes of the body: as many as are there, up to the buffer's size; waits if none are. In the handler of
  /// a route with a ``Routes/Body/streamed(limit:)`` body, on its thread.
  ///
  /// - Parameter buffer: not empty.
  /// - Returns: how many bytes; 0 at the end of the body.
  /// - Throws: ``RequestBodyError``; ``HostRefusal/requestBody`` anywhere else.
  public func readBody(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    guard let table = services.find(BH_REQUEST_BODY, bh_request_body_host.self, upTo: \.error) else {
      throw HostRefusal.missingExtension(BH_REQUEST_BODY)
    }
    var count = 0
    switch table.pointee.read(exchange, buffer.baseAddress, buffer.count, &count) {
    case Status.ok: return count
    case bh_status(BH_UNAVAILABLE): throw RequestBodyError(table.pointee.error(exchange)) ?? .gone
    default: throw HostRefusal.requestBody
    }
  }

  /// Reads the next bytes of the body, as ``readBody(into:)`` does.
  ///
  /// ```swift
  /// while let chunk = try request.nextBodyChunk() { try file.write(chunk) }
  /// ```
  ///
  /// - Parameter limit: most bytes, at least 1.
  /// - Returns: at least one byte; `nil` at the end of the body.
  /// - Throws: as ``readBody(into:)``.
  public func nextBodyChunk(upTo limit: Int = 64 << 10) throws -> [UInt8]? {
    let chunk = try [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
      count = try readBody(into: UnsafeMutableRawBufferPointer(buffer))
    }
    return chunk.isEmpty ? nil : chunk
  }

  /// Whether the host has told the handler that the rest of the body will not come.
  var hasLostBody: Bool {
    guard let table = services.find(BH_REQUEST_BODY, bh_request_body_host.self, upTo: \.error) else {
      return false
    }
    return table.pointee.error(exchange) != bh_body_error(BH_BODY_NO_ERROR)
  }
}
