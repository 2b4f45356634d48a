import Foundation

/// A response, taken apart.
struct TestResponse {
  var status = 0
  var fields: [(name: String, value: String)] = []
  var body: [UInt8] = []
  var isChunked = false

  func all(_ name: String) -> [String] {
    fields.filter { $0.name.lowercased() == name.lowercased() }.map(\.value)
  }

  subscript(name: String) -> String? { all(name).first }

  var text: String { String(decoding: body, as: UTF8.self) }

  /// The phases that ran, in order.
  var trail: [String] { all("X-Trail") }

  /// A member of the body's JSON object.
  func member(_ name: String) throws -> String? {
    let object = try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any]
    return object?[name].map { "\($0)" }
  }
}

/// A raw connection: sends what it is given, and reads strictly. Every wait has an end.
final class TestClient {
  private let descriptor: Int32
  private var buffer: [UInt8] = []

  init(port: UInt16, receiveBuffer: Int32? = nil) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var timeout = timeval(tv_sec: 10, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    if var size = receiveBuffer { setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard result == 0 else { throw TestFailure("connect: \(String(cString: strerror(errno)))") }
  }

  /// A socket that is connected already, and ours from now on.
  init(descriptor: Int32) { self.descriptor = descriptor }

  deinit { close(descriptor) }

  static func request(
    _ method: String, _ target: String, _ fields: [(String, String)] = [], body: String? = nil
  ) -> String {
    var text = "\(method) \(target) HTTP/1.1\r\nHost: test\r\n"
    for (name, value) in fields { text += "\(name): \(value)\r\n" }
    if let body { text += "Content-Length: \(body.utf8.count)\r\n" }
    return text + "\r\n" + (body ?? "")
  }

  func send(_ text: String) { send(Array(text.utf8)) }

  /// That the peer has closed already is no failure: its answer tells.
  func send(_ bytes: [UInt8]) {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return }
      sent += count
    }
  }

  func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Makes the connection's end a reset, now.
  func reset() {
    var option = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    var address = sockaddr()
    address.sa_family = sa_family_t(AF_UNSPEC)
    // connect(2) to nowhere ends the connection with a reset, and keeps the descriptor ours.
    connect(descriptor, &address, socklen_t(MemoryLayout<sockaddr>.size))
  }

  enum End: Equatable { case closed, reset, timedOut }

  /// Reads more. Nil, or how the connection ended.
  private func fill() -> End? {
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    let count = recv(descriptor, &chunk, chunk.count, 0)
    if count > 0 {
      buffer += chunk[..<count]
      return nil
    }
    if count == 0 { return .closed }
    return errno == ECONNRESET || errno == EPIPE ? .reset : .timedOut
  }

  /// Everything up to the end, and what the end was.
  func receiveAll() -> (bytes: [UInt8], end: End) {
    while true {
      if let end = fill() {
        defer { buffer = [] }
        return (buffer, end)
      }
    }
  }

  /// Reads something and forgets it. False at the end.
  func swallow() -> Bool {
    defer { buffer = [] }
    return fill() == nil
  }

  private func line() throws -> String {
    while true {
      if let end = buffer.firstIndex(of: 0x0a) {
        guard end > 0, buffer[end - 1] == 0x0d else { throw TestFailure("a bare LF") }
        let text = String(decoding: buffer[..<(end - 1)], as: UTF8.self)
        buffer.removeFirst(end + 1)
        return text
      }
      if let end = fill() {
        throw TestFailure("\(end) inside a line: \(String(decoding: buffer, as: UTF8.self))")
      }
    }
  }

  private func bytes(_ count: Int) throws -> [UInt8] {
    while buffer.count < count {
      if let end = fill() { throw TestFailure("\(end) after \(buffer.count) of \(count) bytes") }
    }
    defer { buffer.removeFirst(count) }
    return Array(buffer[..<count])
  }

  /// One head, and nothing of its body.
  func receiveHead() throws -> TestResponse {
    var response = TestResponse()
    let words = try line().split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
    guard words.count == 3, words[0] == "HTTP/1.1", let status = Int(words[1]) else {
      throw TestFailure("no status line: \(words)")
    }
    response.status = status
    while true {
      let text = try line()
      if text.isEmpty { return response }
      guard let colon = text.firstIndex(of: ":") else { throw TestFailure("no field: \(text)") }
      response.fields.append(
        (String(text[..<colon]), String(text[text.index(after: colon)...].drop { $0 == " " })))
    }
  }

  /// One response; 100 Continue counts as one.
  func receive(to method: String = "GET") throws -> TestResponse {
    var response = try receiveHead()
    if method == "HEAD" || response.status < 200 || response.status == 204 || response.status == 304 {
      return response
    }
    if response["Transfer-Encoding"] == "chunked" {
      response.isChunked = true
      while true {
        guard let size = Int(try line(), radix: 16) else { throw TestFailure("no chunk size") }
        response.body += try bytes(size)
        guard try line().isEmpty else { throw TestFailure("a chunk without its CRLF") }
        if size == 0 { return response }
      }
    }
    guard response.all("Content-Length").count == 1, let length = Int(response["Content-Length"]!) else {
      throw TestFailure("no single Content-Length: \(response.fields)")
    }
    response.body = try bytes(length)
    return response
  }
}
