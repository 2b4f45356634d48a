import Foundation
import Testing

@testable import AuthPlugin

@Suite struct CryptoTests {
  @Test("base64url of random bytes decodes to them, and agrees with Foundation's")
  func base64() {
    let seed = UInt64.random(in: .min ... .max)
    var generator = SplitMix64(state: seed)
    for count in 0..<200 {
      let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
      let text = Base64.url.encode(bytes)
      #expect(text == TokenForge.encode(Data(bytes)), "seed \(seed)")
      #expect(Base64.url.decode(text.utf8) == bytes, "seed \(seed)")
    }
  }

  @Test(
    "each value has one encoding: of all texts of up to three characters, those that decode encode to themselves"
  )
  func canonical() {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ \n".utf8)
    var decoded = 0
    for a in alphabet {
      for b in alphabet {
        for text in [[a], [a, b]] + alphabet.map({ [a, b, $0] }) {
          guard let bytes = Base64.url.decode(text) else { continue }
          decoded += 1
          #expect(Array(Base64.url.encode(bytes).utf8) == text)
        }
      }
    }
    #expect(decoded == 256 + 256 * 256)
  }

  /// RFC 4231 section 4.3, test case 2; and RFC 7515 appendix A.1.
  @Test("HMAC gives the signatures of the RFCs")
  func hmac() throws {
    let secret = try #require(
      Base64.url.decode(
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow".utf8))
    let key = try HMACKey(secret: secret, algorithm: .hs256)
    let signed =
      "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQog"
      + "Imh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    let signature = try Array(signed.utf8).withUnsafeBytes { try key.sign($0) }
    #expect(Base64.url.encode(signature) == "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
  }

  @Test("a password matches its hash only, through the PHC string")
  func password() throws {
    let parameters = PasswordHash.Parameters(logCost: 14)
    let salt = [UInt8](0..<16)
    let hash = try PasswordHash(of: "correct horse", salt: salt, parameters: parameters)
    #expect(hash.text.hasPrefix("$scrypt$ln=14,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$"))
    let stored = try PasswordHash(hash.text)
    #expect(stored == hash)
    #expect(try stored.matches("correct horse"))
    #expect(try !stored.matches("correct horsf"))
    #expect(try !stored.matches("correct horse "))
    #expect(try !stored.matches("correct horse\u{0}x"))
    #expect(try !stored.matches(""))
  }

  @Test(
    "a stored hash that is malformed is an error, and never a match",
    arguments: [
      "", "$scrypt$", "$argon2id$ln=14,r=8,p=1$AAAA$AAAA", "$scrypt$ln=14,r=8$AAAA$AAAA",
      "$scrypt$ln=99,r=8,p=1$AAAA$AAAA", "$scrypt$ln=14,r=8,p=1$AAAA$", "$scrypt$ln=14,r=8,p=1$AA=A$AAAA",
      "$scrypt$ln=14,r=-8,p=1$AAAA$AAAA", "$scrypt$r=8,ln=14,p=1$AAAA$AAAA",
    ])
  func malformedHash(_ text: String) {
    #expect(throws: PasswordHash.Failure.self) { try PasswordHash(text) }
  }

  @Test("a login replaces a hash of other parameters, and the password stays good")
  func rehash() throws {
    let first = try AuthHost(["scrypt-cost": "14"])
    _ = try first.register("ada@example.com")
    let second = try AuthHost(on: first.database, ["scrypt-cost": "15"], generation: 2)
    let accounts = try AccountDatabase(.sqlite, directory: first.host.stateDirectory)
    #expect(try accounts.user(email: "ada@example.com")?.password.hasPrefix("$scrypt$ln=14,") == true)
    #expect(try second.logIn("ada@example.com", password: "wrong password").status == 401)
    #expect(try accounts.user(email: "ada@example.com")?.password.hasPrefix("$scrypt$ln=14,") == true)
    #expect(try second.logIn("ada@example.com").status == 200)
    #expect(try accounts.user(email: "ada@example.com")?.password.hasPrefix("$scrypt$ln=15,") == true)
    #expect(try second.logIn("ada@example.com").status == 200)
  }
}

/// A generator whose failures can be repeated from the seed.
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
