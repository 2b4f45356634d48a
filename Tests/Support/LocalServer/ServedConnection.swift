import Foundation

/// The server's side of one connection. Used by its thread alone.
final class ServedConnection: @unchecked Sendable {
  struct Head {
    let method: String
    let target: String
    let headers: [String: String]
    let body: [UInt8]
  }

  private let descriptor: Int32
  private var buffer: [UInt8] = []

  init(_ descriptor: Int32) { self.descriptor = descriptor }

  /// The next request, its body by Content-Length; nil at the end.
  func readRequest() -> Head? {
    let end = Array("\r\n\r\n".utf8)
    var headEnd: Int?
    while headEnd == nil {
      headEnd = buffer.firstRange(of: end)?.lowerBound
      if headEnd == nil, !fill() { return nil }
    }
    guard let headEnd else { return nil }
    let lines = String(decoding: buffer[..<headEnd], as: UTF8.self).components(separatedBy: "\r\n")
    let words = lines[0].split(separator: " ").map(String.init)
    guard words.count == 3 else { return nil }
    var headers: [String: String] = [:]
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":") else { return nil }
      headers[line[..<colon].lowercased()] = line[line.index(after: colon)...]
        .trimmingCharacters(in: .whitespaces)
    }
    let bodyStart = headEnd + end.count
    let length = headers["content-length"].flatMap { Int($0) } ?? 0
    while buffer.count < bodyStart + length { if !fill() { return nil } }
    let body = Array(buffer[bodyStart..<(bodyStart + length)])
    buffer.removeFirst(bodyStart + length)
    return Head(method: words[0], target: words[1], headers: headers, body: body)
  }

  /// - Returns: Whether the connection goes on.
  func write(_ reply: LocalServer.Reply) -> Bool {
    switch reply {
    case .answer(let status, let headers, let body):
      var head = "HTTP/1.1 \(status) Whatever\r\nContent-Length: \(body.count)\r\n"
      for (name, value) in headers { head += "\(name): \(value)\r\n" }
      return send(Array((head + "\r\n").utf8) + body)
    case .raw(let bytes):
      _ = send(bytes)
      return false
    case .drip(let bytes, let pause):
      for byte in bytes {
        if hasGone(within: pause) || !send([byte]) { return false }
      }
      return false
    case .silence:
      while !hasGone(within: .seconds(3600)) {}
      return false
    case .hangUp:
      return false
    }
  }

  private func fill() -> Bool {
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = recv(descriptor, &bytes, bytes.count, 0)
    guard count > 0 else { return false }
    buffer += bytes[..<count]
    return true
  }

  private func send(_ bytes: [UInt8]) -> Bool {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return false }
      sent += count
    }
    return true
  }

  /// Waits for the client's end of the connection, at most that long.
  private func hasGone(within duration: Duration) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    let (seconds, attoseconds) = duration.components
    guard poll(&entry, 1, Int32(seconds * 1000 + attoseconds / 1_000_000_000_000_000)) > 0 else {
      return false
    }
    // Nothing is to come from the client any more but its end.
    var byte: UInt8 = 0
    return recv(descriptor, &byte, 1, Int32(MSG_PEEK)) <= 0
  }
}
