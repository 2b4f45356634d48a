/// What the host did not accept from the plugin. Thrown on from a phase, it is a fault: the plugin asked for what it
/// must not ask for.
public enum HostRefusal: Error, Equatable, CustomStringConvertible {
  /// Not a field's name or value (RFC 9110 section 5: no CR, LF or NUL), or a field of the host's own: Content-Length,
  /// Transfer-Encoding, Connection, Date, X-Request-Id, traceparent.
  case header(name: String)
  /// Not within 200...599.
  case status(Int)
  /// Not within 400...599, or without a code.
  case problem(status: Int, code: String)
  /// One is set already, or the subject is empty.
  case identity
  /// More than 32 of them, or a name without a character.
  case attribute(name: String)
  /// This plugin does not state `decidesCORS`.
  case decideCORS
  /// Outside of a handler, or the response has a stream already.
  case stream
  /// More than 1 MiB in one `pull`.
  case write(byteCount: Int)
  /// Outside of the handler of a route with a streamed body, or on another thread than its own, or into no buffer.
  case requestBody
  /// Malformed, or this plugin is no router.
  case route(method: String, pattern: String)
  /// No room for it, or asked for after `init`.
  case sharedRegion(name: String, byteCount: Int)
  /// More than 64 of them, or asked for after `init`.
  case timer
  /// This host does not have the extension.
  case missingExtension(String)

  public var description: String {
    switch self {
    case .header(let name): "the host refuses the header field '\(name)' or its value"
    case .status(let status): "the host refuses the status \(status): not within 200...599"
    case .problem(let status, let code): "the host refuses the problem \(status) '\(code)'"
    case .identity: "the host refuses the identity: one is set already, or the subject is empty"
    case .attribute(let name): "the host refuses the attribute '\(name)'"
    case .decideCORS: "the host refuses the decision on CORS: the plugin does not state decidesCORS"
    case .stream: "the host refuses the stream: only a handler's response may have one"
    case .write(let count): "the host refuses \(count) bytes: more than 1 MiB in one pull"
    case .requestBody:
      "the host refuses to read a body here: only the handler of a route with a streamed body does, on its thread"
    case .route(let method, let pattern): "the host refuses the route \(method) '\(pattern)'"
    case .sharedRegion(let name, let count): "the host has no room for the region '\(name)' of \(count) bytes"
    case .timer: "the host refuses the timer: one of more than 64, or not in init"
    case .missingExtension(let id): "this host lacks the extension \(id)"
    }
  }
}
