import PluginAPI
import Testing

@testable import AuthPlugin

@Suite struct TokenCacheTests {
  private func token(_ text: String, end: Int64 = 1000) -> VerifiedToken {
    Array(text.utf8).withUnsafeBytes {
      VerifiedToken($0, identity: Identity(subject: text), end: end, id: text, keyVersion: 0)
    }
  }

  private func find(_ text: String, in cache: TokenCache) -> String? {
    Array(text.utf8).withUnsafeBytes { cache.find($0)?.identity.subject }
  }

  @Test("a token is found by all of its bytes, and not by its end alone")
  func comparison() {
    let cache = TokenCache(capacity: 64)
    let end = String(repeating: "s", count: 43)
    cache.insert(token("header.payload-1." + end))
    #expect(find("header.payload-1." + end, in: cache) == "header.payload-1." + end)
    #expect(find("header.payload-2." + end, in: cache) == nil)
    #expect(find("eader.payload-1." + end, in: cache) == nil)
    #expect(find("x.header.payload-1." + end, in: cache) == nil)
    #expect(find("", in: cache) == nil)
  }

  @Test("it holds no more than its capacity, and gives up what ends first")
  func capacity() {
    let cache = TokenCache(capacity: 64)
    let ends = String(repeating: "s", count: 43)
    for number in 0..<100 { cache.insert(token("\(number)." + ends, end: Int64(number))) }
    // All have one end, so all belong to one set of four.
    let found = (0..<100).filter { find("\($0)." + ends, in: cache) != nil }
    #expect(found == [96, 97, 98, 99])
  }

  @Test("tokens with random ends spread over the whole cache")
  func spread() {
    let seed = UInt64.random(in: .min ... .max)
    var generator = SplitMix64(state: seed)
    let cache = TokenCache(capacity: 4096)
    let texts = (0..<2048).map { _ in
      "h.p." + Base64.url.encode((0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }
    for text in texts { cache.insert(token(text)) }
    let found = texts.count { find($0, in: cache) != nil }
    #expect(found > 1850, "seed \(seed)")
  }
}
