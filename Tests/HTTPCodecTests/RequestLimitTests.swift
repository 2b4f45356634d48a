import HTTPCodec
import Testing

@Suite("a limit of the request parser")
struct RequestLimitTests {
  private let limits = CodecLimits(maxTarget: 20, maxHead: 100, maxBody: 1000, maxFields: 3)

  @Test(
    "allows a target just as long, and refuses a longer one before it ends",
    arguments: ["/", "http://a/", "/?"])
  func target(start: String) throws {
    let longest = start + String(repeating: "x", count: 20 - start.utf8.count)
    #expect(try #require(parsed("GET \(longest) HTTP/1.0\r\n\r\n", limits: limits)).target == longest)
    #expect(parse("GET \(longest)", limits: limits) == .incomplete)
    #expect(status(parse("GET \(longest)x", limits: limits)) == 414)
    #expect(status(parse("GET \(longest)x HTTP/1.0\r\n\r\n", limits: limits)) == 414)
  }

  @Test("allows a head just as long, and refuses a longer one before it ends")
  func head() throws {
    func request(_ count: Int) -> String {
      let start = "GET / HTTP/1.0\r\nX: "
      return start + String(repeating: "y", count: count - start.utf8.count - 4) + "\r\n\r\n"
    }
    #expect(try #require(parsed(request(100) + "more", limits: limits)).count == 100)
    #expect(status(parse(request(101), limits: limits)) == 431)
    #expect(parse(Array(request(101).utf8.prefix(99)), limits: limits) == .incomplete)
    #expect(status(parse(Array(request(101).utf8.prefix(100)), limits: limits)) == 431)
  }

  @Test("allows as many fields, and refuses one more at its first byte")
  func fields() throws {
    let three = "GET / HTTP/1.0\r\nA: 1\r\nB: 2\r\nC: 3\r\n"
    #expect(try #require(parsed(three + "\r\n", limits: limits)).fields.count == 3)
    #expect(status(parse(three + "D", limits: limits)) == 431)
  }

  @Test("allows a body just as long, and refuses a longer one once the head that declares it is whole")
  func body() throws {
    let line = "POST / HTTP/1.0\r\nContent-Length: "
    #expect(try #require(parsed(line + "1000\r\n\r\n", limits: limits)).framing == .length(1000))
    #expect(parse(line + "1001\r\n", limits: limits) == .incomplete)
    #expect(status(parse(line + "1001\r\n\r\n", limits: limits)) == 413)
  }

  @Test("that is out of range counts as the nearest in range")
  func outOfRange() throws {
    let none = CodecLimits(maxTarget: -1, maxHead: .max, maxBody: -1, maxFields: -1)
    #expect(try #require(parsed("GET / HTTP/1.0\r\n\r\n", limits: none)).target == "/")
    #expect(status(parse("GET /x", limits: none)) == 414)
    #expect(status(parse("GET / HTTP/1.0\r\nA", limits: none)) == 431)
    let few = CodecLimits(maxHead: 0)
    #expect(status(parse("G", limits: few)) == 431)
  }

  @Test("does not outlive a request: the parser begins anew after a head, and after a reset")
  func reuse() throws {
    var parser = RequestParser(limits: limits)
    var head = RequestHead()
    let full = "POST /a?b HTTP/1.1\r\nHost: h\r\nOrigin: o\r\nContent-Length: 5\r\n\r\n"
    let bare = "GET / HTTP/1.0\r\n\r\n"
    let fresh = try #require(parsed(bare))
    for _ in 0..<3 {
      #expect(try feed(full, &parser, &head) == parsed(full))
      #expect(try feed(bare, &parser, &head) == fresh)
      #expect(try feed("POST /a HTTP/1.1\r\nHost: a\r\nOrig", &parser, &head) == nil)
      parser.reset()
      #expect(try feed(bare, &parser, &head) == fresh)
      #expect(throws: RequestError.self) { try feed("GET / HTTP/1.1\r\nHost: a\r\n:", &parser, &head) }
      parser.reset()
    }
  }

  @Test("is met without new memory: a head keeps what the largest so far needed")
  func capacity() throws {
    var parser = RequestParser(limits: CodecLimits())
    var head = RequestHead()
    let fields = (0..<50).map { "X-\($0): y\r\n" }.joined()
    _ = try feed("GET / HTTP/1.0\r\n\(fields)\r\n", &parser, &head)
    let memory = head.fields.withUnsafeBufferPointer { $0.baseAddress }
    for count in [0, 1, 50, 3] {
      let fields = (0..<count).map { "X-\($0): y\r\n" }.joined()
      _ = try feed("GET / HTTP/1.0\r\n\(fields)\r\n", &parser, &head)
      #expect(head.fields.count == count)
      #expect(head.fields.withUnsafeBufferPointer { $0.baseAddress } == memory)
    }
  }

  private func feed(
    _ text: String, _ parser: inout RequestParser, _ head: inout RequestHead
  ) throws -> ParsedHead? {
    try Array(text.utf8).withUnsafeBytes { bytes in
      try parser.parse(bytes, into: &head) ? ParsedHead(head, of: bytes) : nil
    }
  }
}
