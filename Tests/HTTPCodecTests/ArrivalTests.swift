import HTTPCodec
import Testing

/// How the bytes of a request are cut on their way must not matter.
@Suite("arrival in pieces")
struct ArrivalTests {
  private static let requests = [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /health?x=y HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: wrk\r\nOrigin: https://velro.ai\r\n\r\n",
    "\r\nOPTIONS https://[::1]:8/a?b HTTP/1.1\r\nHost: a\r\nConnection: close, x\r\n\r\n",
    "POST /p HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 12\r\nX: \ty z\t \r\n\r\n",
    "PUT /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: a\r\n\r\n5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n",
    "OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
  ]

  @Test("does not change what a request is read as, nor why it is refused")
  func heads() {
    var random = SplitMix64.printingSeed()
    let limits = CodecLimits(maxTarget: 24, maxHead: 160, maxBody: 100, maxFields: 5)
    for _ in 0..<20_000 {
      let bytes = mutated(Array(Self.requests.randomElement(using: &random)!.utf8), &random)
      let whole = parse(bytes, limits: limits)
      #expect(parse(bytes, limits: limits, cutAt: Array(0..<bytes.count)) == whole, "\(bytes)")
      #expect(parse(bytes, limits: limits, cutAt: cuts(bytes.count, &random)) == whole, "\(bytes)")
    }
  }

  @Test("does not change what a chunked body is decoded to, nor why it is refused")
  func bodies() {
    var random = SplitMix64.printingSeed()
    let bodies = [
      "5\r\nhello\r\n6;a\r\n world\r\n0\r\n\r\nrest",
      "1f;n=\"v\\\"\"\r\n0123456789012345678901234567890\r\n0\r\nA: b\r\n\r\n",
      "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n00\r\nA:b\r\nC: d \r\n\r\n",
    ]
    for _ in 0..<20_000 {
      let bytes = mutated(Array(bodies.randomElement(using: &random)!.utf8), &random)
      let whole = decode(bytes, maxBody: 40, maxTrailer: 14)
      let everywhere = Array(0..<bytes.count)
      #expect(decode(bytes, maxBody: 40, maxTrailer: 14, cutAt: everywhere) == whole, "\(bytes)")
      #expect(
        decode(bytes, maxBody: 40, maxTrailer: 14, cutAt: cuts(bytes.count, &random)) == whole, "\(bytes)")
      #expect(
        decode(bytes, maxBody: 40, maxTrailer: 14, cutAt: cuts(bytes.count, &random), removingFraming: true)
          == whole,
        "\(bytes)")
    }
  }

  private func mutated(_ bytes: [UInt8], _ random: inout SplitMix64) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 0..<4, using: &random) {
      let index = Int.random(in: 0..<bytes.count, using: &random)
      let octet = Array("\r\n \t:;,/?*%#0AaZz\u{0}\u{7F}é\"".utf8).randomElement(using: &random)!
      switch Int.random(in: 0..<3, using: &random) {
      case 0: bytes[index] = octet
      case 1: bytes.insert(octet, at: index)
      default: if bytes.count > 1 { bytes.remove(at: index) }
      }
    }
    return bytes
  }

  private func cuts(_ count: Int, _ random: inout SplitMix64) -> [Int] {
    (0..<Int.random(in: 1..<5, using: &random)).map { _ in Int.random(in: 0...count, using: &random) }
      .sorted()
  }
}
