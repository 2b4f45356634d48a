import HTTPCodec
import Testing

@Suite("a malformed request")
struct MalformedRequestTests {
  @Test("is refused with its status", arguments: MalformedRequest.all)
  func isRefused(_ request: MalformedRequest) throws {
    let error = try #require(refusal(of: request.bytes))
    #expect(error.status == request.status, "\(error)")
    #expect(error.code.wholeMatch(of: /[a-z0-9]+(-[a-z0-9]+)*/) != nil)
    #expect(!error.detail.isEmpty)
  }

  @Test("is refused in the same way when it arrives byte by byte", arguments: MalformedRequest.all)
  func isRefusedByteByByte(_ request: MalformedRequest) {
    #expect(refusal(of: request.bytes, cutAt: Array(0..<request.bytes.count)) == refusal(of: request.bytes))
  }

  @Test("has a name of its own, and there are more than 41 of them")
  func names() {
    #expect(Set(MalformedRequest.all.map(\.name)).count == MalformedRequest.all.count)
    #expect(MalformedRequest.all.count > 41)
  }

  @Test("is refused at its first byte if that is a TLS hello's")
  func tlsHello() {
    #expect(refusal(of: [0x16])?.status == 400)
  }

  /// What a host would refuse the request for: its head, its path, or its body; nil if it is good or cut short.
  private func refusal(of bytes: [UInt8], cutAt cuts: [Int] = []) -> RequestError? {
    switch parse(bytes, cutAt: cuts) {
    case .incomplete: return nil
    case .refused(let error): return error
    case .parsed(let head):
      if case .refused(let error) = normalize(head.path) { return error }
      guard head.framing == .chunked else { return nil }
      let body = Array(bytes[head.count...])
      let cutsInBody = cuts.filter { $0 > head.count }.map { $0 - head.count }
      if case .refused(let error) = decode(body, maxBody: CodecLimits().maxBody, cutAt: cutsInBody) {
        return error
      }
      return nil
    }
  }
}
