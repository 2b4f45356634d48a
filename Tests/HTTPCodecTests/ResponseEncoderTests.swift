import Foundation
import HTTPCodec
import Testing

@Suite("a response")
struct ResponseEncoderTests {
  @Test("is written as RFC 9112 has it")
  func head() {
    var buffer = ByteBuffer()
    ResponseEncoder.statusLine(200, into: &buffer)
    ResponseEncoder.field("Content-Type", "text/plain", into: &buffer)
    Array("v1".utf8).withUnsafeBytes { value in
      ResponseEncoder.field("X-A", value, into: &buffer)
      ResponseEncoder.field(value, value, into: &buffer)
    }
    ResponseEncoder.contentLength(1234, into: &buffer)
    ResponseEncoder.endOfHead(into: &buffer)
    #expect(
      text(buffer)
        == "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-A: v1\r\nv1: v1\r\nContent-Length: 1234\r\n\r\n")
  }

  @Test(
    "has the phrase of its status, or none",
    arguments: [
      (404, "HTTP/1.1 404 Not Found\r\n"), (200, "HTTP/1.1 200 OK\r\n"),
      (413, "HTTP/1.1 413 Content Too Large\r\n"),
      (503, "HTTP/1.1 503 Service Unavailable\r\n"), (299, "HTTP/1.1 299 \r\n"), (418, "HTTP/1.1 418 \r\n"),
    ])
  func statusLine(status: Int, line: String) {
    var buffer = ByteBuffer()
    ResponseEncoder.statusLine(status, into: &buffer)
    #expect(text(buffer) == line)
  }

  @Test("in chunks is decoded to what was written, and empty chunks do not end it")
  func chunks() {
    var buffer = ByteBuffer()
    let parts = ["", "a", String(repeating: "b", count: 300), "", "c"]
    for part in parts {
      Array(part.utf8).withUnsafeBytes { ResponseEncoder.chunk($0, into: &buffer) }
    }
    ResponseEncoder.lastChunk(into: &buffer)
    #expect(decode(Array(buffer.readable)) == .decoded(payload: parts.joined(), rest: ""))
  }

  @Test("has a date of the format of RFC 9110 section 5.6.7")
  func dates() {
    #expect(date(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT")
    #expect(date(0) == "Thu, 01 Jan 1970 00:00:00 GMT")
    #expect(date(951_782_400) == "Tue, 29 Feb 2000 00:00:00 GMT")
    #expect(date(-1) == "Wed, 31 Dec 1969 23:59:59 GMT")
    #expect(date(.max) == "Fri, 31 Dec 9999 23:59:59 GMT")
    #expect(date(.min) == "Sat, 01 Jan 0000 00:00:00 GMT")
  }

  @Test("has the date that Foundation would write")
  func datesByFoundation() {
    var random = SplitMix64.printingSeed()
    let formatter = DateFormatter()
    formatter.locale = Locale(identifier: "en_US_POSIX")
    formatter.timeZone = TimeZone(identifier: "GMT")
    formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
    for _ in 0..<2000 {
      // From 1600 on, where Foundation's calendar is Gregorian too.
      let seconds = Int64.random(in: -11_676_096_000...253_402_300_799, using: &random)
      #expect(
        date(seconds) == formatter.string(from: Date(timeIntervalSince1970: Double(seconds))), "\(seconds)")
    }
  }

  private func date(_ seconds: Int64) -> String {
    var buffer = ByteBuffer()
    HTTPDate.append(seconds, into: &buffer)
    return text(buffer)
  }

  private func text(_ buffer: borrowing ByteBuffer) -> String {
    String(decoding: buffer.readable, as: UTF8.self)
  }
}
