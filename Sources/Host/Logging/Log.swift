import Glibc
import HTTPCodec
import Synchronization

/// The host's log: a line an event, on standard error, as text or JSON. Any thread.
///
/// Lines of requests do not come through here: each loop has its own buffer for them (`AccessLog`).
final class Log: Sendable {
  static let shared = Log()

  private let level = Atomic<Int>(LogLevel.info.rawValue)
  private let isJSON = Atomic<Bool>(false)

  func configure(level: LogLevel, format: LogFormat) {
    self.level.store(level.rawValue, ordering: .relaxed)
    isJSON.store(format == .json, ordering: .relaxed)
  }

  var format: LogFormat { isJSON.load(ordering: .relaxed) ? .json : .text }

  @inline(__always)
  func isEnabled(_ level: LogLevel) -> Bool { level.rawValue <= self.level.load(ordering: .relaxed) }

  /// Writes one line with a single write(2), so that lines of several threads and processes do not mix.
  ///
  /// - Parameters:
  ///   - request: what the line is about, if it is about one.
  ///   - fields: further facts; of the text, they follow the message as `name=value`.
  func write(
    _ level: LogLevel, _ message: String, request: LoggedRequest? = nil, fields: [(String, String)] = []
  ) {
    guard isEnabled(level) else { return }
    let line = Log.line(
      Clock.rfc3339(Clock.realtime()), level, message, request: request, fields: fields, format: format)
    line.withUnsafeBytes { Log.emit($0) }
  }

  /// Writes one line whatever the level; as text it is the message alone.
  func announce(_ message: String) {
    let line =
      format == .json
      ? Log.line(Clock.rfc3339(Clock.realtime()), .info, message, request: nil, fields: [], format: .json)
      : Array("\(message)\n".utf8)
    line.withUnsafeBytes { Log.emit($0) }
  }

  /// One line, its end included. Whatever the message holds, it is one line and no terminal's command.
  static func line(
    _ time: String, _ level: LogLevel, _ message: String, request: LoggedRequest?, fields: [(String, String)],
    format: LogFormat
  ) -> [UInt8] {
    var fields = fields
    if let request { fields += [("request_id", request.id), ("traceparent", request.traceparent)] }
    var line: [UInt8]
    if format == .json {
      var json = JSONWriter()
      json.object {
        $0.field("time", time)
        $0.field("level", "\(level)")
        $0.field("message", message)
        for (name, value) in fields { $0.field(name, value) }
      }
      line = json.bytes
    } else {
      let facts = fields.map { " \($0.0)=\(plain($0.1))" }.joined()
      line = Array("\(time) \(level) \(plain(message))\(facts)".utf8)
    }
    line.append(UInt8(ascii: "\n"))
    return line
  }

  /// The text with line ends as "; ", and other control characters as "?".
  private static func plain(_ text: String) -> String {
    let isPlain = text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7f }
    if isPlain { return text }
    return text.map { character in
      if character.isNewline { return "; " }
      let isControl = character.unicodeScalars.contains { $0.properties.generalCategory == .control }
      return isControl ? "?" : String(character)
    }.joined()
  }

  /// Writes lines as they are.
  static func emit(_ lines: UnsafeRawBufferPointer) { LogOutput.standardError.write(lines) }
}

/// The request that a line is about.
struct LoggedRequest: Sendable {
  var id: String
  var traceparent: String
}

extension Exchange {
  var logged: LoggedRequest {
    LoggedRequest(id: request.pointee.request_id.string, traceparent: request.pointee.traceparent.string)
  }
}

/// Holds one plugin to so many log lines a second, and counts what it drops.
final class LogQuota: Sendable {
  static let linesPerSecond = 100
  private struct Window { var second: UInt64 = 0, count = 0 }
  private let window = Mutex(Window())
  let dropped = Atomic<UInt64>(0)

  func admits(at now: UInt64) -> Bool {
    let isAdmitted = window.withLock { window in
      let second = now / 1_000_000_000
      if window.second != second { window = Window(second: second) }
      window.count += 1
      return window.count <= LogQuota.linesPerSecond
    }
    if !isAdmitted { dropped.wrappingAdd(1, ordering: .relaxed) }
    return isAdmitted
  }
}
