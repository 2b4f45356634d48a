import Foundation
import PluginTesting

/// The DevTools protocol over a pipe: messages in JSON, each with a NUL at its end.
///
/// No thread reads by itself: events are heard while a reply, or a condition, is waited for. One thread at a time.
final class DevToolsPipe {
  private let socket: Int32
  private var lastID = 0
  private var input: [UInt8] = []
  private var isClosed = false
  /// Called for each event, with its session, name and parameters.
  var heard: [(_ session: String?, _ method: String, _ parameters: JSONValue) -> Void] = []

  /// - Parameter socket: connected to the browser; it is closed with this value.
  init(_ socket: Int32) { self.socket = socket }

  deinit { close() }

  func close() {
    guard !isClosed else { return }
    isClosed = true
    Foundation.close(socket)
  }

  /// Sends a command, and waits for its reply.
  ///
  /// - Throws: `HarnessError.malformed` with the browser's own words if it refuses; `.timedOut`; `.closed`.
  @discardableResult
  func call(
    _ method: String, _ parameters: [String: Any] = [:], session: String? = nil,
    within limit: Duration = .seconds(60)
  ) throws -> JSONValue {
    lastID += 1
    let id = lastID
    var message: [String: Any] = ["id": id, "method": method, "params": parameters]
    message["sessionId"] = session
    try send([UInt8](try JSONSerialization.data(withJSONObject: message)) + [0])
    let deadline = Deadline(after: limit)
    while true {
      guard let reply = try hear(before: deadline) else {
        throw HarnessError.timedOut("the browser's reply to \(method)")
      }
      guard reply["id"].int == id else { continue }
      if let error = reply["error"]["message"].string {
        throw HarnessError.malformed("\(method): \(error) \(reply["error"]["data"].string ?? "")")
      }
      return reply["result"]
    }
  }

  /// Hears what comes until `deadline`; returns early after the first message.
  func listen(before deadline: Deadline) throws { _ = try hear(before: deadline) }

  /// The next message, which, if it is an event, has been heard; nil if none came in time.
  private func hear(before deadline: Deadline) throws -> JSONValue? {
    while true {
      if let end = input.firstIndex(of: 0) {
        let message = try JSONValue(parsing: input[..<end])
        input.removeSubrange(...end)
        if let method = message["method"].string {
          for listener in heard { listener(message["sessionId"].string, method, message["params"]) }
        }
        return message
      }
      guard try receive(before: deadline) else { return nil }
    }
  }

  private func receive(before deadline: Deadline) throws -> Bool {
    var entry = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
    let (seconds, attoseconds) = deadline.remaining.components
    let milliseconds = Int32(clamping: seconds * 1000 + attoseconds / 1_000_000_000_000_000 + 1)
    let ready = poll(&entry, 1, milliseconds)
    if ready == 0 { return false }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = read(socket, &bytes, bytes.count)
    if count < 0 && (errno == EINTR || errno == EAGAIN) { return true }
    guard count > 0 else { throw HarnessError.closed(received: "the browser has ended") }
    input += bytes[..<count]
    return true
  }

  private func send(_ bytes: [UInt8]) throws {
    var sent = 0
    while sent < bytes.count {
      let count = bytes[sent...].withUnsafeBytes {
        Foundation.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else {
        throw HarnessError.system(call: "write to the browser", reason: String(cString: strerror(errno)))
      }
      sent += count
    }
  }
}
