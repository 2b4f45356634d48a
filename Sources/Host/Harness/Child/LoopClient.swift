import Glibc
import HTTPCodec
import LinuxShims

/// A client within the worker's own process: one request on a socket pair, of which a loop adopts the other end.
enum LoopClient {
  enum Failure: Error, CustomStringConvertible {
    case system(SystemError)
    case timedOut(Duration)
    /// The connection ended before the answer was whole.
    case cut(String)
    case malformed(String)

    var description: String {
      switch self {
      case .system(let error): "\(error)"
      case .timedOut(let limit): "no whole answer came within \(ValueText.render(limit))"
      case .cut(let text): "the connection was closed after \(text.quotedForMessage)"
      case .malformed(let text): "the answer is no HTTP/1.1 response: \(text.quotedForMessage)"
      }
    }
  }

  /// In bytes; a longer answer is malformed.
  private static let maximumAnswer = 256 << 20

  /// Sends the bytes, which must ask for the connection to be closed, and reads to its end. Any thread but a loop's.
  static func send(_ bytes: [UInt8], to loop: EventLoop, within limit: Duration) throws(Failure) -> CaseAnswer
  {
    let began = Clock.monotonic()
    let received: [UInt8]
    do throws(SystemError) {
      let ours = try connect(to: loop)
      defer { ours.close() }
      received = try exchange(bytes, on: ours, until: began &+ limit.nanoseconds)
    } catch {
      throw error.code == ETIMEDOUT ? .timedOut(limit) : .system(error)
    }
    return try read(received, took: .nanoseconds(Int64(clamping: Clock.monotonic() &- began)))
  }

  private static func connect(to loop: EventLoop) throws(SystemError) -> FileDescriptor {
    var pair: [Int32] = [-1, -1]
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
    try checked("socketpair") { socketpair(AF_UNIX, type, 0, &pair) }
    loop.post(.adopt(PassedConnection(descriptor: FileDescriptor(raw: pair[1]), isTCP: false)))
    return FileDescriptor(raw: pair[0])
  }

  /// Writes and reads at once: the worker may answer, and close, before it has read all.
  private static func exchange(
    _ bytes: [UInt8], on socket: FileDescriptor, until deadline: UInt64
  ) throws(SystemError) -> [UInt8] {
    var sent = 0
    var received: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let now = Clock.monotonic()
      guard now < deadline, received.count < maximumAnswer else { throw SystemError("read", ETIMEDOUT) }
      let events = sent < bytes.count ? POLLIN | POLLOUT : POLLIN
      var descriptor = pollfd(fd: socket.raw, events: Int16(events), revents: 0)
      _ = poll(&descriptor, 1, Int32(clamping: (deadline - now) / 1_000_000 + 1))
      if descriptor.revents & Int16(POLLOUT) != 0 {
        let count = bytes.withUnsafeBytes {
          Glibc.send(socket.raw, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL))
        }
        // Closed by the other side: its answer is still to be read.
        sent = count < 0 && errno != EAGAIN && errno != EINTR ? bytes.count : sent + max(0, count)
      }
      let count = Glibc.read(socket.raw, &chunk, chunk.count)
      if count > 0 { received += chunk[..<count] }
      if count == 0 || count < 0 && errno == ECONNRESET { return received }
    }
  }

  private static func read(_ bytes: [UInt8], took: Duration) throws(Failure) -> CaseAnswer {
    var rest = bytes[...]
    while true {
      guard let end = rest.firstRange(of: "\r\n\r\n") else {
        throw .cut(String(decoding: rest.prefix(200), as: UTF8.self))
      }
      let head = String(decoding: rest[..<end.lowerBound], as: UTF8.self)
      let lines = head.split(separator: "\r\n", omittingEmptySubsequences: false)
      let words = lines[0].split(separator: " ", maxSplits: 2)
      guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]) else {
        throw .malformed(String(lines[0]))
      }
      rest = rest[end.upperBound...]
      guard status >= 200 else { continue }
      let fields = lines.dropFirst().map { line in
        let colon = line.firstIndex(of: ":") ?? line.endIndex
        return Step.Field(
          name: String(line[..<colon]), value: ValueText.trimmed(line[colon...].dropFirst().utf8))
      }
      var answer = CaseAnswer(status: status, fields: fields, body: Array(rest), took: took)
      if answer.values(of: "Transfer-Encoding") == ["chunked"] { answer.body = try unchunked(answer.body) }
      return answer
    }
  }

  private static func unchunked(_ bytes: [UInt8]) throws(Failure) -> [UInt8] {
    var body = bytes
    var decoder = ChunkedDecoder(maxBody: maximumAnswer)
    let outcome = body.withUnsafeMutableBytes { region -> Result<Bool, RequestError> in
      do throws(RequestError) { return .success(try decoder.decode(region)) } catch { return .failure(error) }
    }
    switch outcome {
    case .success(true): return Array(body.prefix(decoder.decodedCount))
    // A stream that its plugin failed ends without its last chunk.
    case .success(false): throw .cut(String(decoding: body.prefix(decoder.decodedCount), as: UTF8.self))
    case .failure(let error): throw .malformed(error.detail)
    }
  }
}
