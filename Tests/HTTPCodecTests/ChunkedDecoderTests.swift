import HTTPCodec
import Testing

@Suite("a chunked body")
struct ChunkedDecoderTests {
  @Test(
    "is decoded, and what follows it is left alone",
    arguments: [
      ("0\r\n\r\n", "", ""), ("5\r\nhello\r\n0\r\n\r\nGET", "hello", "GET"),
      ("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world", ""),
      ("A\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n\r\n", "01234567890123456789", "\r\n"),
      ("00000000000000a\r\n0123456789\r\n0\r\n\r\n", "0123456789", ""),
      ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n", ""),
      ("1;a\r\nx\r\n0;b=c\r\n\r\n", "x", ""),
      ("1 ;\ta = b ; c=\"d;\\\"\t\\\\é\";e\r\nx\r\n0\r\n\r\n", "x", ""),
      ("1\r\nx\r\n0\r\nExpires: never\r\nA:\r\n\r\nrest", "x", "rest"),
    ])
  func decoded(body: String, payload: String, rest: String) {
    let expected = DecodeOutcome.decoded(payload: payload, rest: rest)
    let bytes = Array(body.utf8)
    #expect(decode(bytes) == expected)
    #expect(decode(bytes, cutAt: Array(0..<bytes.count)) == expected)
    #expect(decode(bytes, cutAt: Array(0..<bytes.count), removingFraming: true) == expected)
    #expect(decode(bytes, cutAt: Array(0..<bytes.count), takingPayload: true) == expected)
    for cut in 0..<bytes.count { #expect(decode(bytes, cutAt: [cut], takingPayload: true) == expected) }
  }

  @Test("is held to its limit though its payload is taken away as it arrives")
  func maxBodyTaken() {
    let body = Array("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n".utf8)
    for cut in 0..<body.count {
      #expect(
        decode(body, maxBody: 5, cutAt: [cut], takingPayload: true) == .decoded(payload: "abcde", rest: ""))
      #expect(status(decode(body, maxBody: 4, cutAt: [cut], takingPayload: true)) == 413)
    }
  }

  @Test(
    "is refused for whitespace where its grammar has none",
    arguments: ["1;a=\"b\"c", "1;=b", "1; ", "1;a =", "1;;"])
  func malformedExtensions(line: String) {
    #expect(status(decode(Array("\(line)\r\nx\r\n".utf8))) == 400)
  }

  @Test("gives out what has arrived before it ends")
  func incomplete() {
    #expect(decode(Array("5\r\nhello\r\n5\r\nwo".utf8)) == .incomplete(payload: "hellowo"))
  }

  @Test("may be as large as the limit, and is refused when a size says that it will be larger")
  func maxBody() {
    #expect(
      decode(Array("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n".utf8), maxBody: 5)
        == .decoded(payload: "abcde", rest: ""))
    #expect(status(decode(Array("3\r\nabc\r\n3".utf8), maxBody: 5)) == 413)
    #expect(status(decode(Array("FFFFFFFFFFFFFFF\r\n".utf8), maxBody: .max)) == nil)
    #expect(decode(Array("0\r\n\r\n".utf8), maxBody: 0) == .decoded(payload: "", rest: ""))
  }

  @Test("may have a trailer section as large as the limit")
  func maxTrailer() {
    let trailer = "A: b\r\nC: d\r\n"
    #expect(
      decode(Array("0\r\n\(trailer)\r\n".utf8), maxTrailer: trailer.utf8.count)
        == .decoded(payload: "", rest: ""))
    #expect(status(decode(Array("0\r\n\(trailer)\r\n".utf8), maxTrailer: trailer.utf8.count - 1)) == 431)
  }

  @Test("may not hide much in its extensions")
  func maxExtensions() {
    let line = "1;" + String(repeating: "a", count: 255) + "\r\nx\r\n"
    let fits = String(repeating: line, count: 16) + "0\r\n\r\n"
    #expect(decode(Array(fits.utf8)) == .decoded(payload: String(repeating: "x", count: 16), rest: ""))
    #expect(status(decode(Array((String(repeating: line, count: 16) + "1;").utf8))) == 400)
    #expect(status(decode(Array(("1;" + String(repeating: "a", count: 256)).utf8))) == 400)
  }

  private func status(_ outcome: DecodeOutcome) -> Int? {
    if case .refused(let error) = outcome { error.status } else { nil }
  }
}
