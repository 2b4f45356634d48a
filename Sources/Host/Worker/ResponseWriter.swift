import HTTPCodec

/// Puts an exchange's response on the wire.
enum ResponseWriter {
  /// Whether responses of this status have a body (RFC 9110 sections 6.4.1 and 15.3.6).
  static func hasBody(status: UInt32) -> Bool { status != 204 && status != 205 && status != 304 }

  /// Says that there is none, where nothing but a length says so.
  private static func writeEmptiness(_ status: UInt32, into output: inout ByteBuffer) {
    if status == 205 { ResponseEncoder.contentLength(0, into: &output) }
  }

  /// Head and body. A response to HEAD has the head alone.
  static func write(
    _ x: Exchange, closing: Bool, dates: inout DateLine, at now: UInt64, into output: inout ByteBuffer
  ) {
    writeHead(x, closing: closing, dates: &dates, at: now, into: &output)
    let hasBody = hasBody(status: x.status)
    if hasBody {
      ResponseEncoder.contentLength(x.body.count, into: &output)
    } else {
      writeEmptiness(x.status, into: &output)
    }
    ResponseEncoder.endOfHead(into: &output)
    if hasBody && x.request.pointee.method != bh_method(BH_METHOD_HEAD) {
      output.append(UnsafeRawBufferPointer(x.body.readable))
    }
  }

  /// The head of a body that is to be pulled.
  static func writeStreamHead(
    _ x: Exchange, closing: Bool, isChunked: Bool, dates: inout DateLine, at now: UInt64,
    into output: inout ByteBuffer
  ) {
    writeHead(x, closing: closing, dates: &dates, at: now, into: &output)
    if !hasBody(status: x.status) {
      writeEmptiness(x.status, into: &output)
    } else if isChunked {
      output.append("Transfer-Encoding: chunked\r\n" as StaticString)
    }
    ResponseEncoder.endOfHead(into: &output)
  }

  private static func writeHead(
    _ x: Exchange, closing: Bool, dates: inout DateLine, at now: UInt64, into output: inout ByteBuffer
  ) {
    ResponseEncoder.statusLine(Int(x.status), into: &output)
    dates.append(at: now, into: &output)
    for field in x.headers { ResponseEncoder.field(field.name.buffer, field.value.buffer, into: &output) }
    let view = x.request.pointee
    output.append("X-Request-Id: " as StaticString)
    output.append(view.request_id)
    output.append("\r\ntraceparent: " as StaticString)
    output.append(view.traceparent)
    if closing {
      output.append("\r\nConnection: close\r\n" as StaticString)
    } else if x.head.versionMinor == 0 {
      output.append("\r\nConnection: keep-alive\r\n" as StaticString)
    } else {
      output.append("\r\n" as StaticString)
    }
  }
}

/// The Date field's line, made once a second.
struct DateLine: ~Copyable {
  private var line = ByteBuffer(capacity: 64)
  private var validUntil: UInt64 = 0
  /// From the monotonic clock to the wall clock, as of the line's making.
  private var offset = Clock.realtime() &- Int64(bitPattern: Clock.monotonic())

  /// The wall clock's time at a monotonic time of now or a moment ago.
  func realtime(at monotonic: UInt64) -> Int64 { offset &+ Int64(bitPattern: monotonic) }

  mutating func append(at now: UInt64, into output: inout ByteBuffer) {
    if now >= validUntil {
      let realtime = Clock.realtime()
      line.removeAll()
      line.append("Date: " as StaticString)
      HTTPDate.append(realtime / 1_000_000_000, into: &line)
      line.append("\r\n" as StaticString)
      offset = realtime &- Int64(bitPattern: Clock.monotonic())
      validUntil = now + UInt64(1_000_000_000 - realtime % 1_000_000_000)
    }
    output.append(UnsafeRawBufferPointer(line.readable))
  }
}
