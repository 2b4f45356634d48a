/// A request that must be refused. Depends on nothing, so that a test over a socket can have a copy of this
/// file.
struct MalformedRequest: CustomStringConvertible, Sendable {
  /// Says what is wrong with it.
  let name: String
  /// All that the client sends. It is refused on these bytes alone, with the default limits.
  let bytes: [UInt8]
  /// The status of the refusal.
  let status: Int

  init(_ name: String, _ text: String, _ status: Int = 400) {
    self.init(name, bytes: Array(text.utf8), status)
  }

  init(_ name: String, bytes: [UInt8], _ status: Int = 400) {
    self.name = name
    self.status = status
    self.bytes = bytes
  }

  var description: String { name }

  static let all = requestLines + targets + lines + hosts + lengths + codings + others + chunkedBodies

  /// A head that is good but for one field line, which may have any bytes.
  private static func field(_ name: String, _ line: String, _ status: Int = 400) -> MalformedRequest {
    MalformedRequest(name, "POST / HTTP/1.1\r\nHost: a\r\n\(line)\r\n\r\n", status)
  }

  private static func get(_ name: String, target: String, _ status: Int = 400) -> MalformedRequest {
    MalformedRequest(name, "GET \(target) HTTP/1.1\r\nHost: a\r\n\r\n", status)
  }

  private static func chunked(_ name: String, _ body: String, _ status: Int = 400) -> MalformedRequest {
    MalformedRequest(
      name, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\(body)", status)
  }

  static let requestLines: [MalformedRequest] = [
    .init("TLS hello", bytes: [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03, 0x03]),
    .init("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    .init("HTTP/0.9", "GET /\r\n"),
    .init("no method", " / HTTP/1.1\r\nHost: a\r\n\r\n"),
    .init("method with a delimiter", "GE(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    .init("method with a NUL", "GE\0T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    .init("method that never ends", String(repeating: "A", count: 64), 501),
    .init("CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501),
    .init("tab after the method", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    .init("two spaces after the method", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    .init("two spaces before the version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
    .init("space after the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
    .init("version in lower case", "GET / http/1.1\r\nHost: a\r\n\r\n"),
    .init("version without a minor number", "GET / HTTP/1\r\nHost: a\r\n\r\n"),
    .init("version with two minor digits", "GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
    .init("version of another protocol", "GET / ICY/1.1\r\nHost: a\r\n\r\n"),
    .init("HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
    .init("HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    .init("endless empty lines", String(repeating: "\r\n", count: 64)),
    .init("space before the request line", " GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
  ]

  static let targets: [MalformedRequest] = [
    get("no target", target: ""),
    get("path without a slash", target: "index.html"),
    get("fragment", target: "/a#b"),
    get("fragment in the query", target: "/a?b#c"),
    get("control character in the path", target: "/a\u{1}b"),
    get("DEL in the path", target: "/a\u{7F}b"),
    get("NUL in the query", target: "/a?b\0c"),
    get("UTF-8 in the path", target: "/é"),
    get("UTF-8 in the query", target: "/?é"),
    get("quotation mark in the path", target: "/\"a\""),
    get("backslash in the path", target: "/a\\b"),
    get("encoded slash", target: "/a%2Fb"),
    get("encoded backslash", target: "/a%5cb"),
    get("encoded NUL", target: "/a%00b"),
    get("escape without digits", target: "/a%zzb"),
    get("escape cut short", target: "/a%4"),
    get("asterisk of GET", target: "*"),
    get("asterisk and more", target: "*/a"),
    get("authority alone", target: "a:80"),
    get("unknown scheme", target: "ftp://a/"),
    get("absolute target without a host", target: "http:///a"),
    get("absolute target with userinfo", target: "http://u:p@a/"),
    get("absolute target with a bad port", target: "http://a:99999/"),
    get("too long a target", target: "/" + String(repeating: "a", count: 8192), 414),
  ]

  static let lines: [MalformedRequest] = [
    .init("only line feeds", "GET / HTTP/1.1\nHost: a\n\n"),
    .init("line feed alone after a field", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
    .init("line feed alone as the blank line", "GET / HTTP/1.1\r\nHost: a\r\n\n"),
    .init("carriage return alone after the request line", "GET / HTTP/1.1\rHost: a\r\n\r\n"),
    .init("carriage return alone as the blank line", "GET / HTTP/1.1\r\nHost: a\r\n\rX"),
    field("carriage return within a value", "X: a\rb"),
    field("NUL within a value", "X: a\0b"),
    field("control character within a value", "X: a\u{8}b"),
    field("DEL within a value", "X: a\u{7F}b"),
    field("space before the colon", "Transfer-Encoding : chunked"),
    field("tab before the colon", "X\t: y"),
    field("space within a name", "X Y: z"),
    field("no colon", "X"),
    field("no name", ": y"),
    field("NUL within a name", "X\0: y"),
    field("name outside ASCII", "É: y"),
    field("folded value", "X: a\r\n b"),
    field("value folded by a tab", "X: a\r\n\tb"),
    .init("space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    field("too large a head", "X: " + String(repeating: "a", count: 16_384), 431),
    field("too many fields", (0..<100).map { "X-\($0): y" }.joined(separator: "\r\n"), 431),
  ]

  static let hosts: [MalformedRequest] = [
    .init("no Host", "GET / HTTP/1.1\r\n\r\n"),
    .init("no Host beside an absolute target", "GET http://a/ HTTP/1.1\r\n\r\n"),
    .init("empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    field("repeated Host", "Host: a"),
    field("a second, other Host", "host: b"),
    .init("Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    .init("Host with userinfo", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    .init("Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    .init("Host that is a list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    .init("Host with letters as its port", "GET / HTTP/1.1\r\nHost: a:http\r\n\r\n"),
    .init("Host with too large a port", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"),
    .init("Host with two ports", "GET / HTTP/1.1\r\nHost: a:80:81\r\n\r\n"),
    .init("Host with an open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
    .init("Host with a malformed IPv6 address", "GET / HTTP/1.1\r\nHost: [1:2:3]\r\n\r\n"),
    .init("bad Host beside an absolute target", "GET http://a/ HTTP/1.1\r\nHost: b/c\r\n\r\n"),
  ]

  static let lengths: [MalformedRequest] = [
    field("repeated Content-Length", "Content-Length: 1\r\nContent-Length: 2"),
    field("Content-Length repeated with one value", "Content-Length: 1\r\nContent-Length: 1"),
    field("Content-Length as a list", "Content-Length: 1, 1"),
    field("empty Content-Length", "Content-Length:"),
    field("negative Content-Length", "Content-Length: -1"),
    field("Content-Length with a plus", "Content-Length: +1"),
    field("hexadecimal Content-Length", "Content-Length: 0x1"),
    field("fractional Content-Length", "Content-Length: 1.0"),
    field("Content-Length with a space", "Content-Length: 1 1"),
    field("Content-Length beyond 64 bits", "Content-Length: 18446744073709551617", 413),
    field("too large a Content-Length", "Content-Length: 1048577", 413),
    field("Content-Length before chunked", "Content-Length: 1\r\nTransfer-Encoding: chunked"),
    field("Content-Length after chunked", "Transfer-Encoding: chunked\r\nContent-Length: 1"),
  ]

  static let codings: [MalformedRequest] = [
    field("unknown transfer coding", "Transfer-Encoding: gzip", 400),
    field("another coding under chunked", "Transfer-Encoding: gzip, chunked", 400),
    field("identity", "Transfer-Encoding: identity", 400),
    field("a coding that looks like chunked", "Transfer-Encoding: xchunked", 400),
    field("chunked twice", "Transfer-Encoding: chunked, chunked"),
    field("chunked in two fields", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    field("chunked, then overridden", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
    field("chunked not last", "Transfer-Encoding: chunked, gzip"),
    field("chunked and an empty element", "Transfer-Encoding: chunked,"),
    field("chunked in quotes", "Transfer-Encoding: \"chunked\""),
    field("chunked with a parameter", "Transfer-Encoding: chunked;a=b"),
    field("chunked after a vertical tab", "Transfer-Encoding: \u{B}chunked"),
    field("empty Transfer-Encoding", "Transfer-Encoding:"),
    .init("chunked in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
  ]

  static let others: [MalformedRequest] = [
    field("unknown expectation", "Expect: 200-ok", 417),
    field("two expectations", "Expect: 100-continue, 200-ok", 417),
    field("two expectations in two fields", "Expect: 200-ok\r\nExpect: 100-continue", 417),
    field("two origins", "Origin: https://a\r\norigin: https://b"),
    field("one origin twice", "Origin: https://a\r\nOrigin: https://a"),
    field("two content types", "Content-Type: text/plain\r\ncontent-type: application/json"),
    field("Connection that is no list of tokens", "Connection: close; now"),
  ]

  static let chunkedBodies: [MalformedRequest] = [
    chunked("chunk without a size", "\r\n"),
    chunked("chunk size that is no number", "g\r\n"),
    chunked("negative chunk size", "-1\r\n"),
    chunked("chunk size with a prefix", "0x1\r\na\r\n"),
    chunked("space before the chunk size", " 1\r\na\r\n"),
    chunked("space after the chunk size", "1 \r\na\r\n"),
    chunked("chunk size of too many digits", "0000000000000001\r\na\r\n"),
    chunked("chunk size beyond 64 bits", "10000000000000001\r\n", 413),
    chunked("too large a chunk", "100001\r\n", 413),
    chunked("chunks too large together", "1\r\na\r\n100000\r\n", 413),
    chunked("line feed alone after the chunk size", "1\na\r\n0\r\n\r\n"),
    chunked("carriage return alone after the chunk size", "1\ra\r\n0\r\n\r\n"),
    chunked("chunk longer than its size", "1\r\nab\r\n0\r\n\r\n"),
    chunked("line feed alone after the data", "1\r\na\n0\r\n\r\n"),
    chunked("chunk extension without a name", "1;\r\na\r\n"),
    chunked("chunk extension with a line feed", "1;a\nb\r\na\r\n"),
    chunked("chunk extension with a control character", "1;a=\"\u{1}\"\r\na\r\n"),
    chunked("chunk extension without a value", "1;a=\r\na\r\n"),
    chunked("endless chunk extension", "1;" + String(repeating: "a", count: 512)),
    chunked("trailer with a space before the colon", "0\r\nX : y\r\n\r\n"),
    chunked("folded trailer", "0\r\nX: y\r\n z\r\n\r\n"),
    chunked("trailer with a line feed alone", "0\r\nX: y\n\r\n"),
    chunked("line feed alone after the last chunk", "0\r\n\n"),
    chunked("too large a trailer section", "0\r\nX: " + String(repeating: "a", count: 8192), 431),
  ]
}
