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
  func write(
    _ level: LogLevel, _ message: String, requestID: String? = nil, fields: [(String, String)] = []
  ) {
    guard isEnabled(level) else { return }
    let time = Clock.rfc3339(Clock.realtime())
    var line: [UInt8]
    if format == .json {
      var json = JSONWriter()
      json.object {
        $0.field("time", time)
        $0.field("level", "\(level)")
        $0.field("message", message)
        if let requestID { $0.field("request_id", requestID) }
        for (name, value) in fields { $0.field(name, value) }
      }
      line = json.bytes
    } else {
      let oneLine = message.map { $0.isNewline ? "; " : String($0) }.joined()
      let suffix = requestID.map { " request_id=\($0)" } ?? ""
      line = Array("\(time) \(level) \(oneLine)\(suffix)".utf8)
    }
    line.append(UInt8(ascii: "\n"))
    line.withUnsafeBytes { Log.emit($0) }
  }

  /// Best effort: a log that cannot be written has nowhere to say so.
  static func emit(_ bytes: UnsafeRawBufferPointer) {
    var rest = bytes
    while !rest.isEmpty {
      let count = Glibc.write(STDERR_FILENO, rest.baseAddress, rest.count)
      if count < 0 {
        if errno == EINTR { continue }
        return
      }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
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
