import CCrypto
import Foundation
import PluginTesting
import Testing

@testable import AuthPlugin

@Suite struct PublicKeyTests {
  let scratch: Scratch
  init() throws { scratch = try Scratch() }

  @discardableResult
  private func write(_ data: Data, _ name: String) throws -> String {
    let path = scratch.path + "/" + name
    try data.write(to: URL(fileURLWithPath: path), options: .atomic)
    return path
  }

  @Test(
    "a token signed with another issuer's key is accepted, and one signed with a third is not",
    arguments: KeyPair.Kind.allCases)
  func pem(_ kind: KeyPair.Kind) throws {
    let pair = try KeyPair(kind)
    let auth = try AuthHost(["public-key": "\(kind.rawValue) \(write(pair.pem, "key.pem"))"])
    #expect(try auth.visit("Bearer \(pair.token())").identity?.subject == "user-1")
    #expect(try auth.visit("Bearer \(KeyPair(kind).token())").status == 401)
    #expect(try auth.visit("Bearer \(TokenForge().token())").status == 200, "our own go on")
  }

  @Test("every byte of a signature counts", arguments: KeyPair.Kind.allCases)
  func tampering(_ kind: KeyPair.Kind) throws {
    let pair = try KeyPair(kind)
    let key = try PublicKey(
      pem: [UInt8](pair.pem), algorithm: #require(SignatureAlgorithm(rawValue: kind.rawValue)))
    let verifies = { (signature: [UInt8], text: String) in
      try Array(text.utf8).withUnsafeBytes { message in
        try signature.withUnsafeBytes { try key.verifies($0, of: message) }
      }
    }
    let signature = try pair.sign("a message")
    #expect(try verifies(signature, "a message"))
    #expect(try !verifies(signature, "a messagf"))
    for index in signature.indices {
      var changed = signature
      changed[index] ^= 1
      #expect(try !verifies(changed, "a message"))
    }
    for wrong in [[], Array(signature.dropLast()), signature + [0], [0] + signature, signature + signature] {
      #expect(try !verifies(wrong, "a message"))
    }
    #expect(try !verifies([UInt8](repeating: 0, count: signature.count), "a message"))
    #expect(ERR_peek_error() == 0, "an error is left behind in libcrypto's queue")
  }

  @Test("a public key is no secret: an HMAC made with it is refused")
  func confusion() throws {
    let pair = try KeyPair(.rs256)
    let auth = try AuthHost(["public-key": "RS256 \(write(pair.pem, "key.pem"))"])
    for secret in [String(decoding: pair.pem, as: UTF8.self), pair.jwk(id: "a")["n"] as? String ?? ""] {
      #expect(try auth.visit("Bearer \(TokenForge(secret: secret).token())").status == 401)
    }
  }

  @Test("a key is for its algorithm only: RS256 and PS256 do not mix, and a JWT in DER is none")
  func exactAlgorithm() throws {
    let rs = try KeyPair(.rs256)
    let auth = try AuthHost(["public-key": "RS256 \(write(rs.pem, "key.pem"))"])
    #expect(try auth.visit("Bearer \(rs.token(header: ["alg": "PS256"]))").status == 401)
    let ps = try AuthHost(["public-key": "PS256 \(write(rs.pem, "key.pem"))"])
    #expect(try ps.visit("Bearer \(rs.token())").status == 401)
    #expect(try ps.visit("Bearer \(rs.token(header: ["alg": "PS256"]))").status == 401)
  }

  @Test("PS256 demands a salt as long as the digest")
  func salt() throws {
    let pair = try KeyPair(.ps256)
    let key = try PublicKey(pem: [UInt8](pair.pem), algorithm: .ps256)
    for (length, isValid) in [(Int32(32), true), (0, false), (20, false), (64, false)] {
      let signature = try pair.sign("a message", saltLength: length)
      let result = try Array("a message".utf8).withUnsafeBytes { message in
        try signature.withUnsafeBytes { try key.verifies($0, of: message) }
      }
      #expect(result == isValid, "salt of \(length) bytes")
    }
  }

  @Test("the examples of RFC 7515 appendix A.3 and RFC 8037 appendix A.4 verify")
  func examples() throws {
    let p256 = #"""
      {"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
       "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
      """#
    let ed25519 = #"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#
    let path = try write(Data("{\"keys\":[\(p256),\(ed25519)]}".utf8), "jwks.json")
    let keys = try KeyFile(path: path).keySet()
    let examples = [
      "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290"
        + "Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
      "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhi"
        + "jcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    ]
    for (key, example) in zip(keys, examples) {
      let dot = try #require(example.lastIndex(of: "."))
      let signature = try #require(Base64.url.decode(example[example.index(after: dot)...].utf8))
      let isValid = try Array(example[..<dot].utf8).withUnsafeBytes { message in
        try signature.withUnsafeBytes { try key.verifies($0, of: message) }
      }
      #expect(isValid, "\(key.algorithm)")
    }
  }

  @Test("keys of a JWK set verify, each the tokens that name it or none", arguments: KeyPair.Kind.allCases)
  func keySet(_ kind: KeyPair.Kind) throws {
    let (first, second) = (try KeyPair(kind), try KeyPair(kind))
    let path = try write(KeyPair.set([first.jwk(id: "1"), second.jwk(id: "2")]), "jwks.json")
    let auth = try AuthHost(["jwks-file": path])
    #expect(try auth.visit("Bearer \(first.token(header: ["kid": "1"]))").status == 200)
    #expect(try auth.visit("Bearer \(second.token(header: ["kid": "2"]))").status == 200)
    #expect(try auth.visit("Bearer \(second.token())").status == 200)
    #expect(try auth.visit("Bearer \(first.token(header: ["kid": "2"]))").status == 401)
    #expect(try auth.visit("Bearer \(first.token(header: ["kid": "3"]))").status == 401)
  }

  @Test("keys for other uses, of other types and curves are left out")
  func foreign() throws {
    let pair = try KeyPair(.es256)
    let others: [[String: Any]] = [
      pair.jwk(id: "enc", ["use": "enc"]), pair.jwk(id: "ops", ["key_ops": ["sign"]]),
      pair.jwk(id: "curve", ["crv": "P-384"]), pair.jwk(id: "alg", ["alg": "ES384"]),
      pair.jwk(id: "hmac", ["alg": "HS256"]), ["kty": "oct", "k": "AAAA", "alg": "HS256"], ["kty": "new"],
    ]
    let path = try write(KeyPair.set(others + [KeyPair(.edDSA).jwk(id: "ed")]), "jwks.json")
    #expect(try KeyFile(path: path).keySet().map(\.id) == ["ed"])
    let auth = try AuthHost(["jwks-file": path])
    #expect(try auth.visit("Bearer \(pair.token())").status == 401)
  }

  @Test("keys that are weak, broken or of another type stop the start")
  func broken() throws {
    let rsa = try KeyPair(.rs256)
    let ec = try KeyPair(.es256)
    let bad: [[String: String]] = [
      ["public-key": "RS256 \(try write(KeyPair(.rs256, bits: 1024).pem, "weak.pem"))"],
      ["public-key": "ES256 \(try write(KeyPair(.es256, group: "secp384r1").pem, "p384.pem"))"],
      ["public-key": "ES256 \(try write(rsa.pem, "rsa.pem"))"],
      ["public-key": "EdDSA \(try write(ec.pem, "ec.pem"))"],
      ["public-key": "HS256 \(try write(ec.pem, "ec.pem"))"],
      ["public-key": "ES256 \(try write(Data("not PEM".utf8), "no.pem"))"],
      ["public-key": "ES256 \(scratch.path)/missing.pem"], ["public-key": "ES256"],
      ["jwks-file": "\(scratch.path)/missing.json"],
      ["jwks-file": try write(Data("{".utf8), "half.json")],
      ["jwks-file": try write(Data(#"{"keys":[]}"#.utf8), "empty.json")],
      ["jwks-file": try write(KeyPair.set([ec.jwk(id: "1", ["y": ec.jwk(id: "1")["x"]])]), "off-curve.json")],
      ["jwks-file": try write(KeyPair.set([ec.jwk(id: "1", ["x": "AAAA"])]), "short.json")],
      ["jwks-file": try write(KeyPair.set([KeyPair(.rs256, bits: 1024).jwk(id: "1")]), "weak.json")],
    ]
    for settings in bad {
      do {
        _ = try AuthHost(settings)
        Issue.record("it started with \(settings)")
      } catch StartFailure.startFailed(let message) {
        #expect(message.contains("'\(settings.keys.first ?? "")'"), "\(message)")
      }
    }
  }

  @Test(
    "a JWK set is read again when it changes: new keys count, and tokens of withdrawn ones are refused, though cached"
  )
  func rotation() throws {
    let (old, new) = (try KeyPair(.edDSA), try KeyPair(.edDSA))
    let path = try write(KeyPair.set([old.jwk(id: "old")]), "jwks.json")
    let auth = try AuthHost(["jwks-file": path])
    let (first, second) = (try old.token(), try new.token())
    #expect(try auth.visit("Bearer \(first)").status == 200)
    #expect(try auth.visit("Bearer \(second)").status == 401)

    try write(KeyPair.set([old.jwk(id: "old"), new.jwk(id: "new")]), "jwks.json")
    #expect(try eventually { try auth.visit("Bearer \(second)").status == 200 })
    #expect(try auth.visit("Bearer \(first)").status == 200)

    try write(Data(#"{"keys":["#.utf8), "jwks.json")
    let isNoticed = try eventually {
      _ = try auth.visit("Bearer \(first)")
      return auth.host.logLines.contains { $0.message.contains("the keys stay as they are") }
    }
    #expect(isNoticed)
    #expect(try auth.visit("Bearer \(first)").status == 200, "half a file changes nothing")

    try write(KeyPair.set([new.jwk(id: "new")]), "jwks.json")
    #expect(try eventually { try auth.visit("Bearer \(first)").status == 401 })
    #expect(try auth.visit("Bearer \(second)").status == 200)
  }

  /// Whether a condition comes to hold within ten seconds.
  private func eventually(_ condition: () throws -> Bool) throws -> Bool {
    let deadline = ContinuousClock.now + .seconds(10)
    while ContinuousClock.now < deadline {
      if try condition() { return true }
      usleep(20_000)
    }
    return false
  }
}
