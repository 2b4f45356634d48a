/// One HTTP/1.1 connection on a raw socket: sends exactly the bytes it is given, and reads responses
/// strictly.
///
/// Its reader accepts no laxness (bare LF, repeated Content-Length, bad chunks): a host that writes such is
/// found out.
/// One thread at a time. The connection is closed when the value goes.
public final class HTTPConnection {
  let socket: StreamSocket
  let endpoint: Endpoint
  /// Received and not yet read as a response.
  var buffer: [UInt8] = []
  /// How long one response may take.
  public var timeout: Duration

  /// - Parameters:
  ///   - endpoint: where the host listens.
  ///   - timeout: for each response. Generous: a busy test machine is no failure.
  ///   - receiveBuffer: the socket's, in bytes; small, to be a slow reader.
  /// - Throws: `HarnessError.system` if the connection is refused.
  public init(_ endpoint: Endpoint, timeout: Duration = .seconds(20), receiveBuffer: Int? = nil) throws {
    self.endpoint = endpoint
    self.timeout = timeout
    socket = try StreamSocket(to: endpoint, receiveBuffer: receiveBuffer)
  }

  /// Sends `text` as it is.
  public func send(_ text: String) throws { try send(Array(text.utf8)) }

  /// Sends `bytes` as they are. That the peer has closed already is no error: read its answer.
  public func send(_ bytes: [UInt8]) throws { try socket.send(bytes, deadline: Deadline(after: timeout)) }

  /// Sends of `bytes` what the peer takes, until it has taken nothing for `patience`.
  ///
  /// - Returns: how many bytes.
  public func send(_ bytes: [UInt8], untilNothingIsTakenFor patience: Duration) throws -> Int {
    var sent = 0
    while sent < bytes.count {
      let piece = Array(bytes[sent..<min(sent + 1 << 14, bytes.count)])
      let count = try socket.sendSome(piece, deadline: Deadline(after: patience))
      if count == 0 { break }
      sent += count
    }
    return sent
  }

  /// Sends FIN, and goes on reading.
  public func finishSending() { socket.shutdownWrite() }

  /// Makes the connection's end a reset.
  public func resetWhenClosed() { socket.lingerZero() }

  /// Sends one request, with Host and, if there is a body, Content-Length; then reads its response.
  public func request(
    _ method: String, _ target: String, headers: [(String, String)] = [], body: [UInt8]? = nil
  ) throws -> HTTPResponse {
    try send(HTTPConnection.bytes(of: method, target, headers, body, authority: endpoint.authority))
    return try receive(to: method)
  }

  /// A request's bytes. A Host or Content-Length among `headers` stands for the one that would be made.
  static func bytes(
    of method: String, _ target: String, _ headers: [(String, String)], _ body: [UInt8]?, authority: String
  ) -> [UInt8] {
    let given = Set(headers.map { $0.0.lowercased() })
    var head = "\(method) \(target) HTTP/1.1\r\n"
    if !given.contains("host") { head += "Host: \(authority)\r\n" }
    if let body, given.isDisjoint(with: ["content-length", "transfer-encoding"]) {
      head += "Content-Length: \(body.count)\r\n"
    }
    for (name, value) in headers { head += "\(name): \(value)\r\n" }
    return Array((head + "\r\n").utf8) + (body ?? [])
  }

  /// Bytes as they come, for streams: nil if none came in time, empty at the end.
  public func receiveBytes(upTo limit: Int = 1 << 16, within time: Duration) throws -> [UInt8]? {
    if !buffer.isEmpty {
      let taken = Array(buffer.prefix(limit))
      buffer.removeFirst(taken.count)
      return taken
    }
    return try socket.receive(upTo: limit, deadline: Deadline(after: time))
  }

  /// Reads up to and including the next head, without its body: for streams that have no end.
  public func receiveHead() throws -> HTTPResponse {
    var reader = ResponseReader(connection: self, deadline: Deadline(after: timeout))
    return try reader.head()
  }

  /// Reads one response.
  ///
  /// - Parameter method: of the request that it answers: a response to HEAD has no body.
  /// - Throws: `HarnessError.closed`, `.reset`, `.malformed` or `.timedOut`.
  public func receive(to method: String = "GET") throws -> HTTPResponse {
    var reader = ResponseReader(connection: self, deadline: Deadline(after: timeout))
    return try reader.response(to: method)
  }

  /// How the connection stands: waits until it ends, bytes come, or the time is over (`.open`).
  public func end(within time: Duration = .seconds(10)) throws -> ConnectionEnd {
    do {
      guard let bytes = try receiveBytes(within: time) else { return .open }
      return bytes.isEmpty ? .closed : .unexpected(bytes)
    } catch HarnessError.reset {
      return .reset
    }
  }
}
