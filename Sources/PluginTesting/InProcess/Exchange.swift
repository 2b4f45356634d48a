import PluginABI

/// One request with its response in the making: what `bh_exchange *` points at. Used by one thread at a time.
final class Exchange {
  let arena = Arena()
  let context: PluginContext
  let requestID: String
  let path: String

  var status: UInt32 = 0
  var fields: [(name: bh_bytes, value: bh_bytes)] = []
  var body = bh_bytes(data: nil, count: 0)
  var identity: UnsafePointer<bh_identity>?
  var attributes: [String: bh_bytes] = [:]
  var error: String?
  var decidedCORS = false
  var isInHandler = false
  var stream: bh_stream_source?
  /// What the handler has not read; nil if it gets the body whole.
  var unreadBody: ArraySlice<UInt8>?
  /// No more at once: so that a handler that reads only once is found out.
  static let longestPiece = 16 << 10

  init(_ context: PluginContext, requestID: String, path: String) {
    self.context = context
    self.requestID = requestID
    self.path = path
  }

  var pointer: OpaquePointer { OpaquePointer(Unmanaged.passUnretained(self).toOpaque()) }

  static func at(_ pointer: OpaquePointer) -> Exchange {
    Unmanaged<Exchange>.fromOpaque(UnsafeRawPointer(pointer)).takeUnretainedValue()
  }

  // MARK: The response

  func setField(_ name: bh_bytes, _ value: bh_bytes, replacing: Bool) -> Bool {
    guard Self.isAcceptable(name, value) else { return false }
    if replacing { removeField(name) }
    fields.append((arena.bytes(name), arena.bytes(value)))
    return true
  }

  func removeField(_ name: bh_bytes) {
    let wanted = name.text.lowercased()
    fields.removeAll { $0.name.text.lowercased() == wanted }
  }

  func field(_ name: bh_bytes) -> bh_bytes? {
    let wanted = name.text.lowercased()
    return fields.first { $0.name.text.lowercased() == wanted }?.value
  }

  /// A field as RFC 9110 section 5 has it, and none of the host's own.
  private static func isAcceptable(_ name: bh_bytes, _ value: bh_bytes) -> Bool {
    let isName = name.count > 0 && name.view.allSatisfy(\.isTokenCharacter)
    let isValue = value.view.allSatisfy { $0 == UInt8(ascii: "\t") || $0 >= 0x20 && $0 != 0x7F }
    return isName && isValue && !hostFields.contains(name.text.lowercased())
  }

  private static let hostFields: Set<String> = [
    "content-length", "transfer-encoding", "connection", "date", "x-request-id", "traceparent",
  ]

  /// RFC 9457; `false` if it is no problem.
  func setProblem(_ problem: bh_problem) -> Bool {
    guard (400...599).contains(problem.status), problem.code.count > 0 else { return false }
    setProblem(
      status: problem.status, code: problem.code.text, title: problem.title.text, detail: problem.detail.text,
      members: problem.members.text)
    return true
  }

  func setProblem(status: UInt32, code: String, title: String = "", detail: String = "", members: String = "")
  {
    let title = title.isEmpty ? standardPhrases[status] ?? "Status \(status)" : title
    var json = #"{"type":"about:blank","title":\#(quoted(title)),"status":\#(status)"#
    if !detail.isEmpty { json += #","detail":\#(quoted(detail))"# }
    json += #","instance":\#(quoted(path)),"code":\#(quoted(code)),"request_id":\#(quoted(requestID))"#
    if !members.isEmpty { json += "," + members }
    self.status = status
    body = arena.bytes(json + "}")
    _ = setField(arena.bytes("Content-Type"), arena.bytes("application/problem+json"), replacing: true)
  }

  // MARK: Values between plugins

  func setIdentity(_ raw: bh_identity) -> Bool {
    guard identity == nil, raw.subject.count > 0 else { return false }
    var copy = raw
    copy.subject = arena.bytes(raw.subject)
    copy.email = arena.bytes(raw.email)
    copy.role = arena.bytes(raw.role)
    copy.scopes = arena.array((0..<raw.scope_count).map { arena.bytes(raw.scopes[$0]) })
    identity = arena.value(copy)
    return true
  }

  func setAttribute(_ name: bh_bytes, _ value: bh_bytes) -> bh_status {
    guard name.count > 0 else { return bh_status(BH_INVALID) }
    guard attributes[name.text] != nil || attributes.count < 32 else { return bh_status(BH_UNAVAILABLE) }
    attributes[name.text] = arena.bytes(value)
    return bh_status(BH_OK)
  }
}

/// A JSON string (RFC 8259 section 7).
private func quoted(_ text: String) -> String {
  var result = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": result += "\\\""
    case "\\": result += "\\\\"
    case "\u{00}"..."\u{1F}":
      let digits = String(scalar.value, radix: 16)
      result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result + "\""
}

/// RFC 9110 section 15.
private let standardPhrases: [UInt32: String] = [
  400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
  405: "Method Not Allowed", 406: "Not Acceptable", 408: "Request Timeout", 409: "Conflict", 410: "Gone",
  411: "Length Required", 412: "Precondition Failed", 413: "Content Too Large", 414: "URI Too Long",
  415: "Unsupported Media Type", 416: "Range Not Satisfiable", 422: "Unprocessable Content",
  428: "Precondition Required", 429: "Too Many Requests", 431: "Request Header Fields Too Large",
  500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
  504: "Gateway Timeout",
]
