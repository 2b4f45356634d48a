import CCrypto
import Foundation
import PluginTesting
import Testing

@testable import AuthPlugin

/// What has broken verifiers of public-key signatures: numbers that are no signature, and keys that are no keys.
@Suite struct PublicKeyAttackTests {
  let scratch: Scratch
  init() throws { scratch = try Scratch() }

  private func write(_ data: Data, _ name: String) throws -> String {
    let path = scratch.path + "/" + name
    try data.write(to: URL(fileURLWithPath: path), options: .atomic)
    return path
  }

  private func verifies(_ signature: [UInt8], _ text: String, _ key: PublicKey) throws -> Bool {
    try Array(text.utf8).withUnsafeBytes { message in
      try signature.withUnsafeBytes { try key.verifies($0, of: message) }
    }
  }

  private static func bytes(_ hexadecimal: String) -> [UInt8] {
    stride(from: 0, to: hexadecimal.count, by: 2).compactMap { offset in
      UInt8(hexadecimal.dropFirst(offset).prefix(2), radix: 16)
    }
  }

  /// The order of P-256's group, and its field's prime.
  private static let order = bytes("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
  private static let prime = bytes("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff")
  private static func number(_ value: UInt8) -> [UInt8] { [UInt8](repeating: 0, count: 31) + [value] }

  @Test(
    "of ES256 no pair of 0, 1, the order, its neighbours, the prime and all ones is a signature (CVE-2022-21449)"
  )
  func pairs() throws {
    let pair = try KeyPair(.es256)
    let key = try PublicKey(pem: [UInt8](pair.pem), algorithm: .es256)
    var below = Self.order
    below[31] -= 1
    var above = Self.order
    above[31] += 1
    let ones = [UInt8](repeating: 0xFF, count: 32)
    let numbers = [Self.number(0), Self.number(1), below, Self.order, above, Self.prime, ones]
    let good = try pair.sign("a message")
    for r in numbers + [Array(good[..<32])] {
      for s in numbers { #expect(try !verifies(r + s, "a message", key)) }
    }
    for s in numbers { #expect(try !verifies(Array(good[..<32]) + s, "a message", key)) }
    #expect(try verifies(good, "a message", key))
    #expect(ERR_peek_error() == 0)
  }

  @Test("a blank signature of ES256 opens nothing, whoever the token says it is for")
  func psychic() throws {
    let pair = try KeyPair(.es256)
    let auth = try AuthHost(["public-key": "ES256 \(write(pair.pem, "key.pem"))"])
    let signed = try pair.token().split(separator: ".").prefix(2).joined(separator: ".")
    for signature in [[UInt8](repeating: 0, count: 64), [], [0x30, 6, 2, 1, 0, 2, 1, 0]] {
      let token = signed + "." + TokenForge.encode(Data(signature))
      #expect(try auth.visit("Bearer \(token)").status == 401)
    }
  }

  @Test("an ES256 signature in DER, as other protocols have it, is none")
  func der() throws {
    let pair = try KeyPair(.es256)
    let key = try PublicKey(pem: [UInt8](pair.pem), algorithm: .es256)
    let raw = try pair.sign("a message")
    let encoded = try #require(raw.withUnsafeBytes { ECDSASignature.der(fromPair: $0) })
    #expect(try !verifies(encoded, "a message", key))
  }

  @Test("the second signature that ES256 has for each message does not undo a logout")
  func malleability() throws {
    let pair = try KeyPair(.es256)
    let auth = try AuthHost(["public-key": "ES256 \(write(pair.pem, "key.pem"))"])
    let token = try pair.token(TokenForge.claims(["jti": nil]))
    let dot = try #require(token.lastIndex(of: "."))
    let signature = try #require(Base64.url.decode(token[token.index(after: dot)...].utf8))
    // s and the order less s are equally good.
    var difference = [UInt8](repeating: 0, count: 32)
    var borrow = 0
    for index in (0..<32).reversed() {
      let value = Int(Self.order[index]) - Int(signature[32 + index]) - borrow
      borrow = value < 0 ? 1 : 0
      difference[index] = UInt8(truncatingIfNeeded: value)
    }
    let twin = token[...dot] + TokenForge.encode(Data(signature[..<32] + difference))
    #expect(twin != token)
    #expect(try auth.visit("Bearer \(twin)").status == 200)
    #expect(try auth.visit("Bearer \(token)").status == 200)
    #expect(try auth.post("logout", "", token: token).status == 204)
    #expect(try auth.visit("Bearer \(token)").status == 401)
    #expect(try auth.visit("Bearer \(twin)").status == 401)
  }

  @Test("of EdDSA a signature whose number is not reduced is none (RFC 8032 section 5.1.7)")
  func unreduced() throws {
    let pair = try KeyPair(.edDSA)
    let key = try PublicKey(pem: [UInt8](pair.pem), algorithm: .edDSA)
    var signature = try pair.sign("a message")
    #expect(try verifies(signature, "a message", key))
    // The order of the group, little-endian, added to S.
    let order = Array(
      Self.bytes("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed").reversed())
    var carry = 0
    for index in 0..<32 {
      let sum = Int(signature[32 + index]) + Int(order[index]) + carry
      signature[32 + index] = UInt8(truncatingIfNeeded: sum)
      carry = sum >> 8
    }
    #expect(try !verifies(signature, "a message", key))
  }

  @Test(
    "an RSA signature with the modulus added, or of another length, is none",
    arguments: [KeyPair.Kind.rs256, .ps256])
  func rsaNumbers(_ kind: KeyPair.Kind) throws {
    let pair = try KeyPair(kind)
    let key = try PublicKey(
      pem: [UInt8](pair.pem), algorithm: #require(SignatureAlgorithm(rawValue: kind.rawValue)))
    let modulus = try #require(Base64.url.decode((pair.jwk(id: "")["n"] as? String ?? "").utf8))
    let one = [UInt8](repeating: 0, count: modulus.count - 1) + [1]
    for signature in [
      modulus, one, [UInt8](repeating: 0, count: modulus.count), [0] + one, Array(one.dropFirst()),
    ] {
      #expect(try !verifies(signature, "a message", key))
    }
  }

  @Test("a key in the token's own header is not used (CVE-2018-0114)", arguments: KeyPair.Kind.allCases)
  func embeddedKey(_ kind: KeyPair.Kind) throws {
    let (trusted, attacker) = (try KeyPair(kind), try KeyPair(kind))
    let jwks = try write(KeyPair.set([trusted.jwk(id: "1")]), "jwks.json")
    let auth = try AuthHost(["jwks-file": jwks])
    for header in [
      ["jwk": attacker.jwk(id: "1"), "kid": "1"], ["jwk": attacker.jwk(id: "1")],
      ["jku": "file://\(scratch.path)/evil.json", "kid": "1"],
      ["x5c": ["MIIB"], "x5u": "https://evil.example/c"],
    ] as [[String: Any]] {
      #expect(try auth.visit("Bearer \(attacker.token(header: header))").status == 401)
      #expect(try auth.visit("Bearer \(trusted.token(header: header))").status == 200, "it is ignored")
    }
  }

  @Test(
    "no public key, in whatever form, is a secret for HMAC (CVE-2015-9235)", arguments: KeyPair.Kind.allCases)
  func confusion(_ kind: KeyPair.Kind) throws {
    let pair = try KeyPair(kind)
    let pem = String(decoding: pair.pem, as: UTF8.self)
    let auth = try AuthHost(["public-key": "\(kind.rawValue) \(write(pair.pem, "key.pem"))"])
    let jwk = pair.jwk(id: "a")
    let body = pem.split(separator: "\n").dropFirst().dropLast().joined()
    let forms = [pem, pem.trimmingCharacters(in: .newlines), pem.replacing("\n", with: "\r\n"), body, ""]
    for secret in forms + ["n", "x", "y"].compactMap({ jwk[$0] as? String }) {
      for header in ["HS256", kind.rawValue] {
        let token = try TokenForge(secret: secret).token(header: ["alg": header])
        #expect(try auth.visit("Bearer \(token)").status == 401)
      }
    }
  }

  @Test("RSA keys that are too short, too long, even, or have 1 for an exponent are refused at the start")
  func weakRSA() throws {
    let pair = try KeyPair(.rs256)
    let modulus = try #require(Base64.url.decode((pair.jwk(id: "")["n"] as? String ?? "").utf8))
    var even = modulus
    even[even.count - 1] &= 0xFE
    let bad: [[String: Any]] = [
      try KeyPair(.rs256, bits: 1024).jwk(id: "short"), pair.jwk(id: "one", ["e": "AQ"]),
      pair.jwk(id: "two", ["e": "Ag"]), pair.jwk(id: "even", ["n": TokenForge.encode(Data(even))]),
      pair.jwk(id: "huge", ["n": TokenForge.encode(Data([UInt8](repeating: 0xFF, count: 2048)))]),
      pair.jwk(id: "none", ["n": ""]), pair.jwk(id: "text", ["n": "!!!!"]), pair.jwk(id: "nil", ["e": nil]),
    ]
    for (index, key) in bad.enumerated() {
      let path = try write(KeyPair.set([key]), "bad-\(index).json")
      do {
        _ = try AuthHost(["jwks-file": path])
        Issue.record("it started with the key '\(key["kid"] ?? "")'")
      } catch StartFailure.startFailed(let message) {
        #expect(message.contains("'jwks-file'"))
      }
    }
  }

  @Test(
    "points that are not on the curve, at infinity, or whose numbers are not reduced are refused at the start"
  )
  func wrongPoints() throws {
    let pair = try KeyPair(.es256)
    let zero = TokenForge.encode(Data(repeating: 0, count: 32))
    let x = try #require(Base64.url.decode((pair.jwk(id: "")["x"] as? String ?? "").utf8))
    // A point of another curve: twice the size is not taken either.
    let bad: [[String: Any]] = [
      pair.jwk(id: "1", ["x": zero, "y": zero]),
      pair.jwk(id: "2", ["y": TokenForge.encode(Data(repeating: 0xFF, count: 32))]),
      pair.jwk(id: "3", ["x": TokenForge.encode(Data(Self.prime)), "y": zero]),
      pair.jwk(id: "4", ["x": TokenForge.encode(Data([0] + x))]),
      pair.jwk(id: "5", ["x": TokenForge.encode(Data(x.dropLast()))]),
      pair.jwk(id: "6", ["y": nil]),
    ]
    for (index, key) in bad.enumerated() {
      let path = try write(KeyPair.set([key]), "bad-\(index).json")
      #expect(throws: StartFailure.self) { try AuthHost(["jwks-file": path]) }
    }
    let k1 = try KeyPair(.es256, group: "secp256k1")
    let path = try write(k1.pem, "k1.pem")
    #expect(throws: StartFailure.self) { try AuthHost(["public-key": "ES256 \(path)"]) }
  }
}
