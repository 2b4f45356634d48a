import CCrypto
import Foundation
import PluginTesting
import Testing

@testable import AuthPlugin

/// RFC 8725, "JSON Web Token Best Current Practices", and what else has broken verifiers.
@Suite struct TokenAttackTests {
  /// One way to get in without a right to.
  struct Attack: CustomTestStringConvertible, Sendable {
    let name: String
    /// Why it is refused: what the log says at debug, and the client is not told.
    let fault: TokenFault
    let token: @Sendable (TokenForge) throws -> String
    var testDescription: String { name }

    init(
      _ name: String, _ fault: TokenFault, _ token: @escaping @Sendable (TokenForge) throws -> String
    ) {
      self.name = name
      self.fault = fault
      self.token = token
    }
  }

  static func parts(_ token: String) -> [String] { token.split(separator: ".").map(String.init) }
  static func json(_ text: String) -> String { TokenForge.encode(Data(text.utf8)) }
  static func payload() throws -> Data { try JSONSerialization.data(withJSONObject: TokenForge.claims()) }
  static func claims(_ changes: [String: Any?]) -> @Sendable (TokenForge) throws -> String {
    nonisolated(unsafe) let changes = changes
    return { try $0.token(TokenForge.claims(changes)) }
  }
  static func header(_ text: String) -> @Sendable (TokenForge) throws -> String {
    { $0.token(header: Data(text.utf8), payload: try payload()) }
  }
  /// When the tables were made, which may be long before one of their tests runs.
  static let now = Int(Date().timeIntervalSince1970)
  /// An expiry that no test lives to see.
  static let later = 4_000_000_000

  static let algorithms = [
    Attack("alg none, no signature", .unsupportedAlgorithm) {
      json(#"{"alg":"none","typ":"JWT"}"#) + "." + parts(try $0.token())[1] + "."
    },
    Attack("alg nOnE, no signature", .unsupportedAlgorithm) {
      json(#"{"alg":"nOnE"}"#) + "." + parts(try $0.token())[1] + "."
    },
    Attack("alg none, the signature of HS256", .unsupportedAlgorithm, header(#"{"alg":"none"}"#)),
    Attack("alg empty", .unsupportedAlgorithm, header(#"{"alg":""}"#)),
    Attack("alg missing", .malformed, header(#"{"typ":"JWT"}"#)),
    Attack("alg null", .malformed, header(#"{"alg":null}"#)),
    Attack("alg an array", .malformed, header(#"{"alg":["HS256"]}"#)),
    Attack("alg in lower case", .unsupportedAlgorithm, header(#"{"alg":"hs256"}"#)),
    Attack("alg with a space", .unsupportedAlgorithm, header(#"{"alg":"HS256 "}"#)),
    Attack("HS384 where the key is for HS256", .unsupportedAlgorithm) {
      try $0.token(header: ["alg": "HS384"], digest: EVP_sha384())
    },
    Attack("HS512 where the key is for HS256", .unsupportedAlgorithm) {
      try $0.token(header: ["alg": "HS512"], digest: EVP_sha512())
    },
    Attack("RS256 named, HMAC signed", .unsupportedAlgorithm, header(#"{"alg":"RS256"}"#)),
    Attack("ES256 named, HMAC signed", .unsupportedAlgorithm, header(#"{"alg":"ES256"}"#)),
    Attack("HS256 with an MD5 HMAC", .wrongSignature) { try $0.token(digest: EVP_md5()) },
  ]

  static let keys = [
    Attack("another secret", .wrongSignature) { _ in
      try TokenForge(secret: String(repeating: "x", count: 32)).token()
    },
    Attack("an empty secret", .wrongSignature) { _ in try TokenForge(secret: "").token() },
    Attack("a key in the header (jwk)", .wrongSignature) { _ in
      let key = TokenForge.encode(Data(String(repeating: "k", count: 32).utf8))
      return TokenForge(secret: String(repeating: "k", count: 32)).token(
        header: Data(#"{"alg":"HS256","jwk":{"kty":"oct","k":"\#(key)"}}"#.utf8), payload: try payload())
    },
    Attack("a key's address in the header (jku, x5u)", .wrongSignature) { _ in
      TokenForge(secret: String(repeating: "k", count: 32)).token(
        header: Data(#"{"alg":"HS256","jku":"https://evil.example/k","x5u":"https://evil.example/c"}"#.utf8),
        payload: try payload())
    },
    Attack("kid a path to a file that is known", .wrongSignature) { _ in
      TokenForge(secret: "").token(
        header: Data(#"{"alg":"HS256","kid":"../../../dev/null"}"#.utf8), payload: try payload())
    },
    Attack("crit with an extension", .criticalExtension, header(#"{"alg":"HS256","crit":["exp"],"exp":1}"#)),
    Attack("crit empty", .criticalExtension, header(#"{"alg":"HS256","crit":[]}"#)),
    Attack(
      "b64 false (RFC 7797)", .criticalExtension, header(#"{"alg":"HS256","b64":false,"crit":["b64"]}"#)),
    Attack("another kind of JWT (typ)", .wrongType, header(#"{"alg":"HS256","typ":"dpop+jwt"}"#)),
    Attack("typ a number", .malformed, header(#"{"alg":"HS256","typ":1}"#)),
  ]

  static let signatures = [
    Attack("no signature", .malformed) {
      try $0.token().split(separator: ".").prefix(2).joined(separator: ".")
    },
    Attack("an empty signature", .malformed) { parts(try $0.token()).prefix(2).joined(separator: ".") + "." },
    Attack("half a signature", .wrongSignature) { String(try $0.token().dropLast(23)) },
    Attack("one character of the signature changed", .wrongSignature) {
      let token = try $0.token()
      return token.dropLast(10) + (token.suffix(10).first == "A" ? "B" : "A") + token.suffix(9)
    },
    Attack("unused bits of the signature set", .malformed) {
      // 43 characters carry 258 bits; of the last character two bits are unused, and have to be zero.
      let token = try $0.token()
      let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
      let last = token.last.flatMap { alphabet.firstIndex(of: $0) } ?? 0
      return token.dropLast() + String(alphabet[last | 1])
    },
    Attack("padding after the signature", .malformed) { try $0.token() + "=" },
    Attack("base64 where base64url is due", .malformed) { forge in
      for _ in 0..<200 {
        let token = try forge.token()
        let other = token.replacing("-", with: "+").replacing("_", with: "/")
        if other != token { return other }
      }
      return "+"
    },
    Attack("white space within", .malformed) { try $0.token().replacing(".", with: ". ") },
    Attack("a fourth part", .malformed) { try $0.token() + ".AAAA" },
    Attack("a fifth part, as of a JWE", .malformed) { try $0.token() + ".AAAA.AAAA" },
    Attack("two tokens", .malformed) { try $0.token() + "," + $0.token() },
    Attack("the payload of another token", .wrongSignature) {
      let mine = parts(try $0.token())
      let other = parts(try $0.token(TokenForge.claims(["role": "admin"])))
      return "\(mine[0]).\(other[1]).\(mine[2])"
    },
    Attack("the header of another token", .wrongSignature) {
      let mine = parts(try $0.token())
      return json(#"{"alg":"HS256"}"#) + ".\(mine[1]).\(mine[2])"
    },
  ]

  static let shapes = [
    Attack("no token after the scheme", .malformed) { _ in "" },
    Attack("dots only", .malformed) { _ in ".." },
    Attack("a word", .malformed) { _ in "token" },
    Attack("percent-encoded", .malformed) { try $0.token().replacing(".", with: "%2E") },
    Attack("NUL at its end", .malformed) { try $0.token() + "\u{0}" },
    Attack("more than 8 KiB", .oversized) {
      try $0.token(TokenForge.claims(["pad": String(repeating: "x", count: 6000)]))
    },
    Attack("a header that is no JSON", .malformed, header("alg=HS256")),
    Attack("a header that is an array", .malformed, header(#"["HS256"]"#)),
    Attack("a payload that is no JSON", .malformed) {
      $0.token(header: Data(#"{"alg":"HS256"}"#.utf8), payload: Data("sub=1".utf8))
    },
    Attack("a payload that is a string", .malformed) {
      $0.token(header: Data(#"{"alg":"HS256"}"#.utf8), payload: Data(#""sub""#.utf8))
    },
    Attack("a payload that is not UTF-8", .malformed) {
      $0.token(header: Data(#"{"alg":"HS256"}"#.utf8), payload: Data([0x7B, 0xFF, 0x7D]))
    },
    Attack("a payload nested 5000 deep", .malformed) {
      let deep = #"{"sub":"# + String(repeating: "[", count: 2500) + String(repeating: "]", count: 2500) + "}"
      return $0.token(header: Data(#"{"alg":"HS256"}"#.utf8), payload: Data(deep.utf8))
    },
  ]

  static let times = [
    Attack("expired an hour ago", .expired, claims(["exp": now - 3600])),
    Attack("expired a second more than the leeway ago", .expired, claims(["exp": now - 11])),
    Attack("exp missing", .malformed, claims(["exp": nil])),
    Attack("exp null", .malformed, claims(["exp": NSNull()])),
    Attack("exp a text", .malformed, claims(["exp": "\(later)"])),
    Attack("exp negative", .malformed, claims(["exp": -1])),
    Attack("exp beyond all time", .malformed, claims(["exp": 1e300])),
    Attack("not valid before an hour from now", .notYetValid, claims(["nbf": now + 3600])),
    Attack("nbf a text", .malformed, claims(["nbf": "0"])),
    Attack("issued an hour from now", .notYetValid, claims(["iat": now + 3600])),
  ]

  static let parties = [
    Attack("another issuer", .wrongIssuer, claims(["iss": "evil"])),
    Attack("no issuer", .wrongIssuer, claims(["iss": nil])),
    Attack("an array of issuers", .malformed, claims(["iss": ["bulkhead"]])),
    Attack("another audience", .wrongAudience, claims(["aud": "other"])),
    Attack("no audience", .wrongAudience, claims(["aud": nil])),
    Attack("audiences without ours", .wrongAudience, claims(["aud": ["a", "b"]])),
    Attack("an audience of a wrong type", .malformed, claims(["aud": ["bulkhead", 1] as [Any]])),
    Attack("an audience that ours is a prefix of", .wrongAudience, claims(["aud": "bulkhead-admin"])),
    Attack("no subject", .malformed, claims(["sub": nil])),
    Attack("an empty subject", .malformed, claims(["sub": ""])),
    Attack("a subject with a NUL in it", .malformed, claims(["sub": "a\u{0}b"])),
    Attack("a subject of 256 bytes", .malformed, claims(["sub": String(repeating: "é", count: 128)])),
    Attack("an id with a NUL in it", .malformed, claims(["jti": "a\u{0}b"])),
    Attack("an id of 256 bytes", .malformed, claims(["jti": String(repeating: "x", count: 256)])),
    Attack("an empty id", .malformed, claims(["jti": ""])),
    Attack("a subject that is a number", .malformed, claims(["sub": 1])),
    Attack("a role that is a list", .malformed, claims(["role": ["admin"]])),
  ]

  static let all =
    algorithms + spellings + keys + headers + signatures + shapes + texts + times + numbers + parties

  @Test("is refused with 401 and an RFC 6750 challenge, and sets no identity", arguments: all)
  func attack(_ attack: Attack) throws {
    let auth = try AuthHost()
    let answer = try auth.visit("Bearer " + (try attack.token(TokenForge())))
    #expect(answer.status == 401)
    #expect(answer.code == "invalid-token")
    #expect(answer.identity == nil)
    #expect(!answer.reachedHandler)
    #expect(auth.host.logLines.last?.message == "access token refused: \(attack.fault)")
    let challenge = try #require(answer.header("WWW-Authenticate"))
    #expect(challenge.hasPrefix(#"Bearer error="invalid_token", error_description=""#))
  }

  @Test("refused tokens leave the cache as it was: a good token is accepted after every attack")
  func goodAfterBad() throws {
    let auth = try AuthHost()
    let good = try TokenForge().token()
    for attack in Self.all {
      #expect(try auth.visit("Bearer " + attack.token(TokenForge())).status == 401, "\(attack.name)")
      #expect(try auth.visit("Bearer " + good).status == 200, "after \(attack.name)")
    }
  }

  @Test("all refusals of forged tokens are the same answer, but for the request's id")
  func equalShape() throws {
    let auth = try AuthHost()
    var shapes: Set<String> = []
    for attack in Self.algorithms + Self.spellings + Self.keys + Self.signatures + Self.shapes + Self.texts {
      let answer = try auth.visit("Bearer " + attack.token(TokenForge()))
      var json = answer.json
      json["request_id"] = nil
      shapes.insert("\(answer.headers) \(json.sorted { $0.key < $1.key })")
    }
    #expect(shapes.count == 1)
  }
}
