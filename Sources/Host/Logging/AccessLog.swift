import HTTPCodec

/// The lines of one loop's requests, gathered and written together. Only the loop's thread touches it.
struct AccessLog: ~Copyable {
  private let format: LogFormat
  private var buffer = ByteBuffer(capacity: 0)
  private var flushedAt: UInt64 = 0
  /// The second that `seconds` is the text of, up to its dot.
  private var second: Int64 = 0
  private var seconds = ByteBuffer(capacity: 32)
  private static let room = 16 << 10
  /// Lines wait no longer than this.
  private static let patience: UInt64 = 50_000_000

  init(format: LogFormat) { self.format = format }

  var isPending: Bool { !buffer.isEmpty }

  /// One line by itself, for tests.
  ///
  /// - Parameter time: nanoseconds since 1970.
  static func line(of x: Exchange, at time: Int64, nanoseconds: UInt64, format: LogFormat) -> String {
    var log = AccessLog(format: format)
    log.append(x, x.body.count, time, nanoseconds)
    return String(decoding: UnsafeRawBufferPointer(log.buffer.readable), as: UTF8.self)
  }

  /// - Parameters:
  ///   - bytes: of the body, as far as they were sent.
  ///   - time: nanoseconds since 1970.
  mutating func append(_ x: Exchange, bytes: Int, at time: Int64, nanoseconds: UInt64) {
    append(x, bytes, time, nanoseconds)
    if buffer.count >= AccessLog.room { write() }
  }

  private mutating func append(_ x: Exchange, _ bytes: Int, _ time: Int64, _ nanoseconds: UInt64) {
    if format == .json {
      appendJSON(x, bytes, time, nanoseconds)
    } else {
      appendText(x, bytes, time, nanoseconds)
    }
  }

  /// Writes what has waited long enough.
  mutating func flush(at now: UInt64) {
    guard !buffer.isEmpty, now &- flushedAt >= AccessLog.patience else { return }
    flushedAt = now == .max ? flushedAt : now
    write()
  }

  private mutating func write() {
    Log.emit(UnsafeRawBufferPointer(buffer.readable))
    buffer.removeAll()
  }

  /// `TIME info GET /path 200 12 B 0.034 ms client=… request_id=… traceparent=… route=… plugin=…`
  private mutating func appendText(_ x: Exchange, _ bytes: Int, _ time: Int64, _ nanoseconds: UInt64) {
    let view = x.request.pointee
    appendTime(time)
    buffer.append(" info " as StaticString)
    buffer.append(view.method_name.isEmpty ? bh_bytes("-") : view.method_name)
    buffer.append(byte: 0x20)
    buffer.append(view.path.isEmpty ? bh_bytes("-") : view.path)
    buffer.append(byte: 0x20)
    buffer.append(decimal: Int(x.status))
    buffer.append(byte: 0x20)
    buffer.append(decimal: bytes)
    buffer.append(" B " as StaticString)
    appendMilliseconds(nanoseconds)
    buffer.append(" ms client=" as StaticString)
    buffer.append(view.client_address)
    buffer.append(" request_id=" as StaticString)
    buffer.append(view.request_id)
    buffer.append(" traceparent=" as StaticString)
    buffer.append(view.traceparent)
    if !view.route.isEmpty {
      buffer.append(" route=" as StaticString)
      buffer.append(view.route)
    }
    if let blamed = x.blamed {
      buffer.append(" plugin=" as StaticString)
      buffer.append(blamed.name)
    }
    buffer.append(byte: 0x0a)
  }

  private mutating func appendJSON(_ x: Exchange, _ bytes: Int, _ time: Int64, _ nanoseconds: UInt64) {
    let view = x.request.pointee
    var json = JSONWriter()
    json.object {
      $0.field("time", Clock.rfc3339(time))
      $0.field("level", "info")
      $0.field("message", "request")
      $0.field("method", view.method_name.string)
      $0.field("path", view.path.string)
      $0.field("status", Int(x.status))
      $0.field("bytes", bytes)
      $0.field("duration_us", Int(nanoseconds / 1000))
      $0.field("client", view.client_address.string)
      $0.field("request_id", view.request_id.string)
      $0.field("traceparent", view.traceparent.string)
      if !view.route.isEmpty { $0.field("route", view.route.string) }
      if let blamed = x.blamed { $0.field("plugin", blamed.name) }
    }
    json.bytes.withUnsafeBytes { buffer.append($0) }
    buffer.append(byte: 0x0a)
  }

  /// As `Clock.rfc3339`, of which all but the milliseconds is made once a second.
  private mutating func appendTime(_ time: Int64) {
    if time / 1_000_000_000 != second || seconds.isEmpty {
      second = time / 1_000_000_000
      seconds.removeAll()
      seconds.append(String(Clock.rfc3339(time).prefix("2025-08-15T03:04:05.".utf8.count)))
    }
    buffer.append(UnsafeRawBufferPointer(seconds.readable))
    appendThreeDigits(Int(time % 1_000_000_000) / 1_000_000)
    buffer.append(byte: UInt8(ascii: "Z"))
  }

  private mutating func appendThreeDigits(_ number: Int) {
    if number < 100 { buffer.append(byte: UInt8(ascii: "0")) }
    if number < 10 { buffer.append(byte: UInt8(ascii: "0")) }
    buffer.append(decimal: number)
  }

  /// Milliseconds with three decimals.
  private mutating func appendMilliseconds(_ nanoseconds: UInt64) {
    let microseconds = Int(nanoseconds / 1000)
    buffer.append(decimal: microseconds / 1000)
    buffer.append(byte: UInt8(ascii: "."))
    appendThreeDigits(microseconds % 1000)
  }
}
