import Foundation

@testable import AuthPlugin

/// Ways to get in by what stands in header and payload, and how it is written.
extension TokenAttackTests {
  /// "none" with each letter in either case, and what a lenient comparison would take for it.
  static let spellings: [Attack] = {
    let cases = (0..<16).map { mask in
      String(
        "none".enumerated().map { index, letter in
          mask >> index & 1 == 1 ? Character(letter.uppercased()) : letter
        })
    }
    let others = [
      " none", "none ", "none\\u0000", "no\\u006ee", "\\u006eone", "null", "NONE\\n", "HS256\\u0000",
    ]
    return (cases + others).flatMap { name in
      [
        Attack("alg \(name), without a signature", .unsupportedAlgorithm) {
          json(#"{"alg":"\#(name)","typ":"JWT"}"#) + "." + parts(try $0.token())[1] + "."
        },
        Attack("alg \(name), with one", .unsupportedAlgorithm, header(#"{"alg":"\#(name)"}"#)),
      ]
    }
  }()

  /// A header signed with a secret that only its `kid` could make good.
  private static func kid(_ kid: String) -> Attack {
    Attack("kid \(kid)", .wrongSignature) { _ in
      TokenForge(secret: "").token(
        header: Data(#"{"alg":"HS256","kid":"\#(kid)"}"#.utf8), payload: try payload())
    }
  }

  static let headers =
    [
      "/dev/null", "../../../../etc/hostname", "file:///dev/null", "https://evil.example/key", "' OR '1'='1",
      "x' UNION SELECT 'secret' --", "| cat /etc/passwd", "$(id)", "\\u0000", "",
      String(repeating: "k", count: 2000),
    ].map(kid)
    + [
      Attack("kid a number", .malformed, header(#"{"alg":"HS256","kid":1}"#)),
      Attack("kid an object", .malformed, header(#"{"alg":"HS256","kid":{"$ne":""}}"#)),
      Attack("x5c with a certificate of its own", .wrongSignature) { _ in
        TokenForge(secret: "MIIB").token(
          header: Data(#"{"alg":"HS256","x5c":["MIIB"],"x5t":"AA"}"#.utf8), payload: try payload())
      },
      Attack("b64 without crit", .wrongType, header(#"{"alg":"HS256","b64":false}"#)),
      Attack("compressed (zip)", .wrongType, header(#"{"alg":"HS256","zip":"DEF"}"#)),
      Attack("a JWE's header (enc)", .wrongType, header(#"{"alg":"HS256","enc":"A128GCM"}"#)),
      Attack("a JWE's algorithm", .unsupportedAlgorithm, header(#"{"alg":"dir","typ":"JWT"}"#)),
      Attack("PBES2 with a huge count", .unsupportedAlgorithm) {
        let text = #"{"alg":"PBES2-HS256+A128KW","p2c":2147483647,"p2s":"AAAA"}"#
        return $0.token(header: Data(text.utf8), payload: try payload())
      },
      Attack("alg twice, ours last", .malformed, header(#"{"alg":"none","alg":"HS256"}"#)),
      Attack("alg twice, ours first", .malformed, header(#"{"alg":"HS256","alg":"none"}"#)),
      Attack("alg twice, once escaped", .malformed, header(#"{"alg":"HS256","\u0061lg":"HS256"}"#)),
      Attack("an unknown member twice", .malformed, header(#"{"alg":"HS256","x":1,"x":{"y":[1,2]}}"#)),
      Attack("a header nested 2000 deep", .malformed) {
        let deep =
          #"{"alg":"HS256","x":"# + String(repeating: "[", count: 2000)
          + String(repeating: "]", count: 2000) + "}"
        return $0.token(header: Data(deep.utf8), payload: try payload())
      },
      Attack("typ of a refresh token", .wrongType, header(#"{"alg":"HS256","typ":"rt+jwt"}"#)),
      Attack("typ of an ID token's kind", .wrongType, header(#"{"alg":"HS256","typ":"id_token+jwt"}"#)),
      Attack("typ of a logout token", .wrongType, header(#"{"alg":"HS256","typ":"logout+jwt"}"#)),
    ]

  /// A payload that is signed well, written in a way that two readers could read differently.
  private static func text(_ name: String, _ payload: Data) -> Attack {
    Attack(name, .malformed) { $0.token(header: Data(#"{"alg":"HS256"}"#.utf8), payload: payload) }
  }

  private static func text(_ name: String, _ json: String) -> Attack { text(name, Data(json.utf8)) }

  private static let good =
    #""sub":"u","iss":"bulkhead","aud":"bulkhead","exp":\#(later),"role":"viewer""#

  static let texts = [
    text("sub twice", #"{\#(good),"sub":"admin"}"#), text("exp twice", #"{"exp":1,\#(good)}"#),
    text("role twice, once escaped", #"{\#(good),"r\u006fle":"admin"}"#),
    text("a byte order mark", Data([0xEF, 0xBB, 0xBF]) + Data("{\(good)}".utf8)),
    text("UTF-16, little-endian", "{\(good)}".data(using: .utf16LittleEndian) ?? Data()),
    text("UTF-16, big-endian", "{\(good)}".data(using: .utf16BigEndian) ?? Data()),
    text("UTF-16 with a mark", "{\(good)}".data(using: .utf16) ?? Data()),
    text("UTF-32", "{\(good)}".data(using: .utf32) ?? Data()),
    text(
      "an overlong encoding in it", Data("{\(good),\"x\":\"".utf8) + Data([0xC0, 0xAF]) + Data("\"}".utf8)),
    text(
      "a surrogate in UTF-8", Data("{\(good),\"x\":\"".utf8) + Data([0xED, 0xA0, 0x80]) + Data("\"}".utf8)),
    text(
      "half a surrogate pair as subject", #"{"sub":"\ud800","iss":"bulkhead","aud":"bulkhead","exp":4e9}"#),
    text("a control character in a text", "{\(good),\"email\":\"a\u{1}b\"}"),
    text("a NUL after it", "{\(good)}\u{0}"), text("something after it", "{\(good)}{}"),
    text("a comma too many", "{\(good),}"), text("a comment", "{/* */\(good)}"),
    text("single quotes", "{'sub':'u',\(good)}"), text("a name without quotes", "{\(good),x:1}"),
    text("half of it", "{\(good)"), text("empty", ""), text("an array around it", "[{\(good)}]"),
    text("null", "null"),
    Attack("eight thousand dots", .malformed) { _ in String(repeating: ".", count: 8000) },
  ]

  private static func expiry(_ number: String, _ fault: TokenFault = .malformed) -> Attack {
    Attack("exp \(number)", fault) {
      $0.token(
        header: Data(#"{"alg":"HS256"}"#.utf8),
        payload: Data(#"{"sub":"u","iss":"bulkhead","aud":"bulkhead","exp":\#(number)}"#.utf8))
    }
  }

  static let numbers = [
    expiry("0", .expired), expiry("-0", .expired), expiry("0.9", .expired), expiry("-1"), expiry("-1e9"),
    expiry("1e12"), expiry("1e308"), expiry("1e400"), expiry("9223372036854775807"),
    expiry("9223372036854775808"), expiry("18446744073709551616"),
    expiry("18446744073709551616\(later)"), expiry("true"), expiry("[\(later)]"),
    expiry(#"{"$gt":0}"#), expiry(#""\#(later)""#), expiry("+\(later)"), expiry("0\(later)"),
    expiry("0x7fffffff"), expiry("NaN"), expiry("Infinity"), expiry("-Infinity"), expiry("\(later)."),
    expiry("1e"), expiry(""),
  ]
}
