import Glibc
import HTTPCodec

/// Fills in what plugins see of a request.
enum RequestView {
  /// What the view needs to know beyond the request's own bytes.
  struct Context {
    var clientAddress: bh_bytes
    var clientIP: bh_bytes
    var isTrustedPeer: Bool
    var timeoutNanoseconds: UInt64
  }

  /// The head is parsed, and the body whole unless the handler reads it: makes the view of `x.request`.
  ///
  /// - Throws: 400 for a path that cannot be normalised.
  static func prepare(
    _ x: Exchange, _ context: Context, random: inout IdentifierGenerator
  ) throws(RequestError) {
    let base = UnsafeRawPointer(x.input.readable.baseAddress!)
    let view = x.request
    view.pointee = bh_request()
    view.pointee.size = UInt32(MemoryLayout<bh_request>.size)
    identify(x, id: x.value(.requestID), parent: x.value(.traceparent), random: &random)
    x.origin = x.value(.origin)
    view.pointee.method = x.head.method.rawValue
    view.pointee.method_name = x.bytes(x.head.methodName)
    view.pointee.query = x.bytes(x.head.query)
    view.pointee.authority = x.bytes(x.head.authority)
    view.pointee.body = body(of: x, base)
    for (index, field) in x.head.fields.enumerated() {
      x.fields[index] = bh_field(name: x.bytes(field.name), value: x.bytes(field.value))
    }
    view.pointee.fields = UnsafePointer(x.fields)
    view.pointee.field_count = x.head.fields.count
    view.pointee.access = bh_access(BH_ACCESS_NONE)
    view.pointee.deadline_ns = x.startedAt &+ context.timeoutNanoseconds
    setClient(x, context)
    view.pointee.path = try path(of: x)
  }

  /// A request that is refused: if its head is whole, all that the head says, with the path as it was sent if that is what
  /// is refused; else only what a problem needs.
  static func prepareRefusal(_ x: Exchange, _ context: Context, random: inout IdentifierGenerator) {
    if x.head.isWhole {
      do throws(RequestError) {
        try prepare(x, context, random: &random)
      } catch {
        x.request.pointee.path = x.bytes(x.head.path)
      }
      // It has not come.
      x.request.pointee.body = bh_bytes()
      return
    }
    let bytes = UnsafeRawBufferPointer(x.input.readable)
    var refused = x.refusal?.head ?? Refusal.reader(x.parserLimits)
    _ = refused.read(bytes)
    x.origin = refused.value(of: .origin).map { x.bytes($0) }
    x.request.pointee = bh_request()
    x.request.pointee.size = UInt32(MemoryLayout<bh_request>.size)
    // What the parser has put there is not to be relied on.
    x.head = RequestHead()
    identify(
      x, id: refused.value(of: .requestID).map { x.bytes($0) },
      parent: refused.value(of: .traceparent).map { x.bytes($0) }, random: &random)
    setClient(x, context)
    let method = refused.method(in: bytes).map { x.bytes($0) } ?? bh_bytes()
    x.request.pointee.method_name = method
    if method.equals("HEAD") { x.request.pointee.method = bh_method(BH_METHOD_HEAD) }
  }

  private static func setClient(_ x: Exchange, _ context: Context) {
    let view = x.request
    view.pointee.client_address = context.clientAddress
    view.pointee.client_ip = context.clientIP
    view.pointee.trusted_peer = context.isTrustedPeer ? 1 : 0
    if context.isTrustedPeer { ClientAddress.readForwarded(x) { x.connection?.loop.trusts($0) ?? false } }
  }

  private static func body(of x: Exchange, _ base: UnsafeRawPointer) -> bh_bytes {
    if x.requestBody != nil || x.isBodyUnread { return bh_bytes() }
    return switch x.head.framing {
    case .none: bh_bytes()
    case .length(let count): bh_bytes(base + x.head.count, count)
    case .chunked: bh_bytes(base + x.head.count, x.decoder.decodedCount)
    }
  }

  private static func path(of x: Exchange) throws(RequestError) -> bh_bytes {
    let raw = x.bytes(x.head.path)
    guard !raw.isEmpty else { return bh_bytes("/") }
    if PathNormalizer.isNormal(raw.buffer) { return raw }
    let memory = x.arena.allocate(raw.count)
    let count = try PathNormalizer.normalize(
      raw.buffer, into: UnsafeMutableRawBufferPointer(start: memory, count: raw.count))
    return bh_bytes(memory, count)
  }

  // MARK: Identifiers

  /// The request's id and trace context: the client's if well formed, else new ones, which then share their bytes.
  private static func identify(
    _ x: Exchange, id: bh_bytes?, parent: bh_bytes?, random: inout IdentifierGenerator
  ) {
    let given = id.flatMap { isRequestID($0) ? $0 : nil }
    let trace = x.arena.allocate(55)
    memcpy(trace, "00-", 3)
    if let parent, isTraceparent(parent) {
      memcpy(trace + 3, parent.data + 3, 32)
      memcpy(trace + 52, parent.data + 52, 3)
      // Of another version's flags only the one that says "sampled" is known.
      if !parent.hasPrefix("00-") { memcpy(trace + 52, parent.buffer[54] & 1 == 1 ? "-01" : "-00", 3) }
    } else {
      random.writeHexadecimal(words: 2, to: trace + 3)
      memcpy(trace + 52, "-01", 3)
    }
    (trace + 35).storeBytes(of: UInt8(ascii: "-"), as: UInt8.self)
    random.writeHexadecimal(words: 1, to: trace + 36)
    x.request.pointee.traceparent = bh_bytes(trace, 55)
    if let given {
      x.request.pointee.request_id = given
    } else if parent == nil {
      x.request.pointee.request_id = bh_bytes(trace + 3, 32)
    } else {
      let id = x.arena.allocate(32)
      random.writeHexadecimal(words: 2, to: id)
      x.request.pointee.request_id = bh_bytes(id, 32)
    }
  }

  /// Letters, digits and `-._~+/=:@`, at most 128: safe in a log line and a header field.
  static func isRequestID(_ bytes: bh_bytes) -> Bool {
    guard (1...128).contains(bytes.count) else { return false }
    return bytes.buffer.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
      case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: "+"),
        UInt8(ascii: "/"), UInt8(ascii: "="), UInt8(ascii: ":"), UInt8(ascii: "@"):
        true
      default: false
      }
    }
  }

  /// W3C Trace Context, section 3.2: lower-case hexadecimal, neither id all zero. Of a version to come the beginning is
  /// that of version 00, and more may follow after a dash; ff is no version.
  static func isTraceparent(_ bytes: bh_bytes) -> Bool {
    let text = bytes.buffer
    guard text.count >= 55, text[2] == UInt8(ascii: "-"), text[35] == UInt8(ascii: "-"),
      text[52] == UInt8(ascii: "-")
    else { return false }
    func isHexadecimal(_ range: Range<Int>) -> Bool {
      text[range].allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }
    func isZero(_ range: Range<Int>) -> Bool { text[range].allSatisfy { $0 == UInt8(ascii: "0") } }
    guard isHexadecimal(0..<2), isHexadecimal(3..<35), isHexadecimal(36..<52), isHexadecimal(53..<55),
      !isZero(3..<35),
      !isZero(36..<52), !bytes.hasPrefix("ff")
    else { return false }
    return text.count == 55 || (!bytes.hasPrefix("00") && text[55] == UInt8(ascii: "-"))
  }
}

/// Percent-decoding of one path segment.
enum PercentDecoding {
  /// The bytes as they are if nothing is encoded, else a decoded copy. The path is normalised: every escape is whole.
  static func decode(_ bytes: bh_bytes, in arena: inout Arena) -> bh_bytes {
    guard memchr(bytes.data, 0x25, bytes.count) != nil else { return bytes }
    let memory = arena.allocate(bytes.count)
    var written = 0
    var index = 0
    let text = bytes.buffer
    while index < text.count {
      if text[index] == 0x25, index + 2 < text.count, let high = value(text[index + 1]),
        let low = value(text[index + 2])
      {
        memory.storeBytes(of: high << 4 | low, toByteOffset: written, as: UInt8.self)
        index += 3
      } else {
        memory.storeBytes(of: text[index], toByteOffset: written, as: UInt8.self)
        index += 1
      }
      written += 1
    }
    return bh_bytes(memory, written)
  }

  private static func value(_ digit: UInt8) -> UInt8? {
    switch digit {
    case 0x30...0x39: digit - 0x30
    case 0x41...0x46: digit - 0x41 + 10
    case 0x61...0x66: digit - 0x61 + 10
    default: nil
    }
  }
}
