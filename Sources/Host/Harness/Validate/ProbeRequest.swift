/// A request as a check makes it: what the host could have made of some client's bytes.
struct ProbeRequest: Sendable {
  /// For messages: "a query without a name".
  var name: String
  var method = "GET"
  var path = "/validate/ordinary"
  var query: [UInt8] = []
  var authority = "validate.example"
  var body: [UInt8] = []
  /// The body, for a handler that reads it as it arrives.
  var streamedBody: [UInt8] = []
  var fields: [(name: String, value: [UInt8])] = ProbeRequest.ordinaryFields
  /// Of the plugin's own routes; nil: a route of somebody else, before which it stands.
  var route: RegisteredRoute?
  var parameter: [UInt8] = Array("6f9619ff-8b86-4d01-b42d-00cf4fc964ff".utf8)
  var identity: TestIdentity?
  var client = "192.0.2.1"
  var clientIP: [UInt8] = [192, 0, 2, 1]
  /// Nanoseconds from now; may have passed.
  var timeLeft: Int64 = 30_000_000_000
  /// Empty views have null pointers.
  var hasNulls = false

  static let ordinaryFields: [(name: String, value: [UInt8])] = [
    ("Host", "validate.example"), ("Accept", "*/*"), ("User-Agent", "bulkhead-validate"),
    ("Content-Type", "application/json"),
  ].map { ($0.0, Array($0.1.utf8)) }

  static let ordinary = ProbeRequest(name: "an ordinary request")

  /// The same for a route of the plugin's own.
  func on(_ route: RegisteredRoute) -> ProbeRequest {
    var request = self
    request.route = route
    request.method = route.method
    if route.streamedBodyLimit != nil {
      request.streamedBody = body
      request.body = []
    }
    if route.access != .public, identity == nil {
      var identity = TestIdentity(
        subject: "6f9619ff-8b86-4d01-b42d-00cf4fc964ff", email: "validate@example.org")
      if case .role(let role) = route.access { identity.role = role }
      request.identity = identity
    }
    return request
  }

  /// What any client may send, and no plugin may fail on.
  static let hostile: [ProbeRequest] = {
    var requests: [ProbeRequest] = []
    func add(_ name: String, _ change: (inout ProbeRequest) -> Void) {
      var request = ProbeRequest(name: name)
      change(&request)
      requests.append(request)
    }
    func field(_ name: String, _ value: [UInt8]) -> (inout ProbeRequest) -> Void {
      { $0.fields.append((name, value)) }
    }
    func text(_ name: String, _ value: String) -> (inout ProbeRequest) -> Void {
      field(name, Array(value.utf8))
    }

    add("HTTP/1.0 without any field") {
      $0.fields = []
      $0.authority = ""
      $0.hasNulls = true
    }
    add("a client over a Unix socket") {
      $0.client = "unix"
      $0.clientIP = []
      $0.hasNulls = true
    }
    add("an IPv6 client") {
      $0.client = "2001:db8::1"
      $0.clientIP = [0x20, 1, 0x0d, 0xb8] + Array(repeating: 0, count: 11) + [1]
    }
    add("a deadline that has passed") { $0.timeLeft = -1 }
    add("the path / alone") { $0.path = "/" }
    add("a path of 8,000 bytes") { $0.path = "/" + String(repeating: "a", count: 7999) }
    add("a path of 2,000 segments") { $0.path = String(repeating: "/a", count: 2000) }
    add("a path with escapes that are no UTF-8") { $0.path = "/validate/%FF%FE%C0%80" }
    add("a path with braces, stars and quotes escaped") { $0.path = "/validate/%7B%7D*'%22%3C%3E" }
    add("a query without names") { $0.query = Array("&&==&=a&a&=".utf8) }
    add("a query of escapes that are cut short") { $0.query = Array("a=%&b=%4&c=%zz&d=%00&e=%ff".utf8) }
    add("a query of 8,000 bytes") { $0.query = Array("q=".utf8) + Array(repeating: 0x61, count: 7998) }
    add("a query of 2,000 parameters") { $0.query = Array(String(repeating: "page=-1&", count: 2000).utf8) }
    add("a query of numbers out of any range") {
      $0.query = Array("page=99999999999999999999&per_page=-1&days=NaN&limit=1e999".utf8)
    }
    add("a hundred fields") {
      $0.fields = (0..<100).map { ("X-Field-\($0)", Array("value \($0)".utf8)) }
    }
    add("a field of 15 KiB", field("X-Long", Array(repeating: 0x78, count: 15 << 10)))
    add("empty fields") {
      $0.fields = [
        "Host", "Authorization", "Origin", "Cookie", "Content-Type", "Idempotency-Key", "X-Api-Key",
      ].map {
        ($0, [])
      }
    }
    add("fields in capitals, and twice") {
      for name in ["AUTHORIZATION", "authorization", "ORIGIN", "origin", "X-API-KEY"] {
        $0.fields.append((name, Array("a".utf8)))
      }
    }
    let credentials = [
      "Bearer", "Bearer ", "Bearer .", "Bearer ..", "Bearer a.b.c", "bearer  x", "Basic", "Basic ====",
      "Digest x=\"",
      "Bearer eyJhbGciOiJub25lIn0.e30.", "Bearer \(String(repeating: "a.", count: 4000))",
    ]
    for value in credentials {
      add("Authorization: \(value.prefix(40))", text("Authorization", value))
    }
    add("Authorization that is no UTF-8", field("Authorization", Array("Bearer ".utf8) + [0xff, 0xfe, 0x80]))
    for value in [
      "null", "*", "http://", "://", "https://[::1", "https://a:99999", "https://\u{e9}.example", "file://",
    ] {
      add("Origin: \(value)", text("Origin", value))
    }
    add("an Origin that is no UTF-8", field("Origin", [0xc0, 0xaf, 0xff]))
    add("an Origin of 8,000 bytes", text("Origin", "https://" + String(repeating: "a.", count: 4000)))
    for value in ["a=b; c", ";;;=;", "=", String(repeating: "a=b; ", count: 2000)] {
      add("Cookie: \(value.prefix(20))", text("Cookie", value))
    }
    for value in ["text/plain", "application/json; charset=", ";", "application/json, text/html", "\u{fffd}"]
    {
      add("Content-Type: \(value)") {
        $0.fields = [("Host", Array("validate.example".utf8)), ("Content-Type", Array(value.utf8))]
        $0.body = Array("{}".utf8)
      }
    }
    for value in ["*", "\"", "W/", "\"a\", \"b", "W/\"\""] {
      add("If-Match: \(value)", text("If-Match", value))
    }
    add("an Idempotency-Key of 4,000 bytes", text("Idempotency-Key", String(repeating: "k", count: 4000)))
    add("X-Forwarded-For of rubbish", text("X-Forwarded-For", ",,[::1,999.1.1.1,unknown,\"x"))

    for method in ["get", "M-SEARCH", "OPTIONS", "HEAD", "DELETE", "PROPFIND", "ABCDEFGHIJKLMNOPQRSTUVWX"] {
      add("the method \(method)") { $0.method = method }
    }

    func body(_ name: String, _ bytes: [UInt8]) {
      add(name) {
        $0.method = "POST"
        $0.body = bytes
      }
    }
    body("a body of one NUL", [0])
    body("a body of one byte that is no UTF-8", [0xff])
    body("a body of 1 MiB of zeros", Array(repeating: 0, count: 1 << 20))
    body("a body of 1 MiB of 0xff", Array(repeating: 0xff, count: 1 << 20))
    body("a body of JSON that is cut short", Array("{\"a\":[1,2,{\"b\":\"".utf8))
    body("a body of JSON nested 100,000 deep", Array(repeating: UInt8(ascii: "["), count: 100_000))
    body(
      "a body of JSON whose objects nest 50,000 deep",
      Array(repeating: Array("{\"a\":".utf8), count: 50_000).flatMap { $0 })
    body(
      "a body of JSON with numbers out of any range",
      Array("{\"amount\":1e999,\"page\":-0,\"a\":18446744073709551616}".utf8))
    body(
      "a body of JSON with NUL and lone surrogates",
      Array("{\"email\":\"\\u0000\\ud800\",\"name\":\"\\udfff\"}".utf8))
    body("a body of JSON that is null", Array("null".utf8))
    body("a body of JSON that is a string", Array("\"x\"".utf8))
    body("a body of JSON with every type wrong", Array(ProbeRequest.wrongTypes.utf8))
    body(
      "a body of JSON with 20,000 members",
      Array(("{" + (0..<20_000).map { "\"m\($0)\":\($0)" }.joined(separator: ",") + "}").utf8))

    for value: [UInt8] in [
      [0xff, 0xfe], Array("..".utf8), Array("'; DROP TABLE x; --".utf8), Array(repeating: 0x41, count: 7000),
    ] {
      add("a path parameter such as \(String(decoding: value.prefix(16), as: UTF8.self).quotedForMessage)") {
        $0.parameter = value
      }
    }
    let subjects = [String(repeating: "s", count: 4000), "\u{1f600}", "'; --", "0"]
    for subject in subjects {
      add("an identity whose subject is \(subject.prefix(12))") {
        $0.identity = TestIdentity(subject: subject)
      }
    }
    add("an identity with 1,000 scopes") {
      $0.identity = TestIdentity(subject: "many", scopes: (0..<1000).map { "scope:\($0)" })
    }
    return requests
  }()

  private static let wrongTypes =
    "{\"email\":1,\"password\":[],\"refresh_token\":{},\"name\":null,\"tags\":\"x\",\"metadata\":[],\"amount\":\"1\","
    + "\"credit_amount\":true,\"code\":7,\"prompt\":{},\"parameters\":\"\",\"model_id\":[null],\"user_id\":false}"
}
