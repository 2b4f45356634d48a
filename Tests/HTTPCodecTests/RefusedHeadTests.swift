import HTTPCodec
import Testing

@Suite("what is learnt of a refused head")
struct RefusedHeadTests {
  /// What `RefusedHead` makes of bytes that arrive cut at the given offsets; each call gets fresh memory.
  private struct Reading: Equatable {
    var origin: String?
    var requestID: String?
    var method: String?
    var isOver = false

    init(_ bytes: [UInt8], cutAt cuts: [Int] = [], limit: Int = 1 << 16) {
      var head = RefusedHead(limit: limit)
      for end in cuts + [bytes.count] {
        Array(bytes[..<end]).withUnsafeBytes { received in
          isOver = head.read(received)
          func text(_ range: ByteRange) -> String {
            String(decoding: range.bytes(in: received), as: UTF8.self)
          }
          origin = head.value(of: .origin).map(text)
          requestID = head.value(of: .requestID).map(text)
          method = head.method(in: received).map(text)
        }
      }
    }

    init(_ text: String, limit: Int = 1 << 16) { self.init(Array(text.utf8), limit: limit) }
  }

  @Test("the origin is found in whatever else is wrong, if it is said once")
  func origins() {
    func origin(_ text: String) -> String? { Reading(text).origin }
    #expect(origin("GET / HTTP/9\r\nOrigin: https://a\r\n\r\n") == "https://a")
    #expect(origin("GET / HTTP/1.1\nhost : x\norigin:https://a \n") == "https://a")
    #expect(origin("GET / HTTP/1.1\r\nORIGIN:\t https://a\t \r\nX: \u{1}\r\n") == "https://a")
    #expect(origin("\r\n\r\nGET / HTTP/9\r\nOrigin: https://a\r\n\r\n") == "https://a")
    #expect(origin(" : \r\nOrigin: https://a\r\n\r\n") == "https://a")
    #expect(origin("GET / HTTP/1.1\r\nOrigin: https://a\r\nOrigin: https://b\r\n\r\n") == nil)
    #expect(origin("GET / HTTP/1.1\r\nOrigin: https://a\r\nOrigin: a\u{1}\r\n\r\n") == nil)
    #expect(origin("GET / HTTP/1.1\r\n\r\nOrigin: https://a\r\n") == nil)
    #expect(origin("GET / HTTP/1.1\r\nX-Origin: https://a\r\n\r\n") == nil)
    #expect(origin("GET / HTTP/1.1\r\nOrigin : https://a\r\n\r\n") == nil)
    #expect(origin("Origin: https://a\r\n\r\n") == nil)
    #expect(origin("GET / HTTP/1.1\r\nOrigin: a\u{1}b\r\n\r\n") == nil)
    #expect(origin("GET / HTTP/1.1\r\nOrigin: a\rb\r\n\r\n") == nil)
    #expect(origin("GET / HTTP/1.1\r\nOrigin: https://velro.a") == nil, "half of another origin")
    #expect(origin("") == nil)
  }

  @Test("it is over with the blank line, at the limit, and where there is no HTTP")
  func ends() {
    func isOver(_ text: String, limit: Int = 1 << 16) -> Bool { Reading(text, limit: limit).isOver }
    #expect(isOver("GET / HTTP/9\r\n\r\n"))
    #expect(isOver("GET / HTTP/9\nA: b\n\n"))
    #expect(!isOver("GET / HTTP/9\r\n\r"))
    #expect(!isOver("GET / HTTP/9\r\n"))
    #expect(!isOver("\r\n\r\n"), "empty lines before a request")
    #expect(!isOver(""))
    #expect(isOver("GET / HTTP/9\r\nA: b", limit: 18))
    #expect(!isOver("GET / HTTP/9\r\nA: b", limit: 19))
    #expect(isOver("\u{16}\u{3}\u{1}"), "a TLS hello")
    #expect(isOver("\r\n\u{0}"))
    #expect(!isOver(" GET"))
    #expect(Reading("GET / HTTP/9\r\nOrigin: a\r\n", limit: 24).origin == nil, "behind the limit")
    #expect(Reading("GET / HTTP/9\r\nOrigin: a\r\n", limit: 25).origin == "a")
  }

  @Test("the method is shown if it is one")
  func methods() {
    func method(_ text: String) -> String? { Reading(text).method }
    #expect(method("GET / HTTP/9") == "GET")
    #expect(method("\r\nHEAD / HTTP/9\r\nPUT x\r\n") == "HEAD")
    #expect(method("G\u{1b}[2J / HTTP/1.1") == nil)
    #expect(method("\u{16}\u{3}\u{1}") == nil)
    #expect(method("GET") == nil)
    #expect(method(String(repeating: "A", count: 25) + " / HTTP/1.1\r\n") == nil)
    #expect(method("") == nil)
  }

  @Test("how the bytes are cut on their way does not change what is learnt")
  func arrival() {
    var random = SplitMix64.printingSeed()
    let lines = [
      "GET / HTTP/1.1", "HEAD /", "Origin: https://a", "origin:b", "Origin: \u{1}", "X-Request-Id: r",
      "A : b",
      "", "\r", " x", "\u{16}",
    ]
    for _ in 0..<20_000 {
      let count = Int.random(in: 1...8, using: &random)
      let text = (0..<count).map { _ in
        lines.randomElement(using: &random)! + ["\r\n", "\n", "\r"].randomElement(using: &random)!
      }.joined()
      let bytes = Array(text.utf8)
      let limit = Int.random(in: 0...80, using: &random)
      let whole = Reading(bytes, limit: limit)
      #expect(Reading(bytes, cutAt: Array(0..<bytes.count), limit: limit) == whole, "\(bytes)")
      let cuts = (0..<3).map { _ in Int.random(in: 0...bytes.count, using: &random) }.sorted()
      #expect(Reading(bytes, cutAt: cuts, limit: limit) == whole, "\(bytes)")
    }
  }
}
