import Foundation
import PluginTesting
import Testing

@testable import AuthPlugin

@Suite struct KnownHeadersTests {
  private func header(_ keyID: String) throws -> TokenHeader {
    try TokenJSON.decode(TokenHeader.self, Array(#"{"alg":"HS256","kid":"\#(keyID)"}"#.utf8))
  }

  private func bytes<R>(_ text: String, _ body: (UnsafeRawBufferPointer) -> R) -> R {
    Array(text.utf8).withUnsafeBytes(body)
  }

  @Test("a header is found by all of its bytes; of many the last eight are kept, and none that is long")
  func memory() throws {
    let headers = KnownHeaders()
    func insert(_ text: String, _ keyID: String) throws {
      let header = try header(keyID)
      bytes(text) { headers.insert(header, $0) }
    }
    for number in 0..<20 { try insert("header-\(number)", "\(number)") }
    func found(_ text: String) -> String? { bytes(text) { headers.find($0)?.keyID } }
    #expect((0..<20).filter { found("header-\($0)") == "\($0)" } == Array(12..<20))
    for text in ["", "header-1", "header-199", "eader-19", "Header-19"] {
      #expect(found(text) == nil, "\(text)")
    }
    let long = String(repeating: "l", count: 513)
    try insert(long, "long")
    #expect(found(long) == nil)
  }

  @Test("a header that is known opens nothing by itself: not with another signature, payload, or key")
  func judgement() throws {
    let auth = try AuthHost()
    let good = TokenForge(secret: AuthHost.secret)
    let header = ["alg": "HS256"]
    let token = try good.token(header: header)
    #expect(try auth.visit("Bearer \(token)").status == 200)
    let parts = token.split(separator: ".")
    let forged = try TokenForge(secret: String(repeating: "f", count: 32)).token(header: header)
    let expired = try good.token(TokenForge.claims(["exp": 1]), header: header)
    let spliced = "\(parts[0]).\(forged.split(separator: ".")[1]).\(parts[2])"
    for bad in [forged, expired, spliced] {
      #expect(bad.hasPrefix(parts[0] + "."), "the same header")
      #expect(try auth.visit("Bearer \(bad)").status == 401)
    }
    #expect(try auth.visit("Bearer \(good.token(header: header))").status == 200)
  }

  @Test(
    "a member that is there twice is found among many, escaped, and in another normal form",
    arguments: [
      (#""a":1"#, #""a":2"#), (#""a":1"#, #""\u0061":2"#), (#""\u0061":1"#, #""\u0061":2"#),
      (#""é":1"#, #""é":2"#), ("\"\u{E9}\":1", "\"e\u{301}\":2"), (#""sub":"u""#, #""sub":"v""#),
      (#""":1"#, #""":2"#),
    ], [0, 5, 14, 15, 16, 40])
  func duplicates(_ pair: (first: String, second: String), _ count: Int) throws {
    let others = (0..<count).map { #","m\#($0)":{"a":[1,{"a":2}],"sub":"\"a\":,"}"# }.joined()
    let claims = #""exp":1,"iss":"x"\#(pair.first.hasPrefix(#""sub""#) ? "" : #","sub":"u""#)"#
    func decode(_ members: String) throws -> TokenClaims {
      try TokenJSON.decode(TokenClaims.self, Array("{\(claims),\(members)}".utf8))
    }
    #expect(try decode("\(pair.first)\(others)").subject == "u")
    #expect(throws: TokenFault.malformed) { try decode("\(pair.first)\(others),\(pair.second)") }
    #expect(throws: TokenFault.malformed) { try decode("\(pair.first),\(pair.second)\(others)") }
  }

  @Test("threads that sign and verify with one key at once do not get into each other's way")
  func contexts() throws {
    let key = try HMACKey(secret: Array(AuthHost.secret.utf8), algorithm: .hs256)
    let forge = TokenForge(secret: AuthHost.secret)
    let wrong = try onThreads(8) { thread in
      try (0..<500).count { round in
        let text = "\(thread)-\(round)-" + String(repeating: "x", count: round)
        let expected = forge.sign(text)
        return try Array(text.utf8).withUnsafeBytes { message in
          let isGood = try expected.withUnsafeBytes { try key.verifies($0, of: message) }
          return try key.sign(message) != expected || !isGood
        }
      }
    }
    #expect(wrong.allSatisfy { $0 == 0 })
  }
}
