import CORSPolicy
import Testing

/// A policy of these origins, and else nothing out of the ordinary.
func policy(
  origins: [String] = ["https://velro.ai"], methods: [String] = ["GET", "PUT", "PATCH", "DELETE"],
  headers: [String] = ["Authorization", "Content-Type", "X-Request-Id"],
  expose: [String] = ["X-Request-Id", "Retry-After"], credentials: Bool = false,
  maxAge: Duration = .seconds(600), privateNetwork: Bool = false
) throws(CORSPolicyError) -> CORSPolicy {
  try CORSPolicy(
    origins: origins, methods: methods, headers: headers, exposedHeaders: expose,
    allowsCredentials: credentials,
    maxAge: maxAge, allowsPrivateNetwork: privateNetwork)
}

/// What is left of a decision once the request's bytes are gone.
struct Verdict {
  var isAllowed: Bool
  var rule: String
  var headers: [(String, String)]

  subscript(name: String) -> String? { headers.first { $0.0 == name }?.1 }
  var names: [String] { headers.map(\.0) }
}

extension CORSPolicy {
  func verdict(_ origin: String?, _ preflight: CORSPreflight? = nil) -> Verdict {
    func copy(_ decision: CORSDecision) -> Verdict {
      Verdict(isAllowed: decision.isAllowed, rule: decision.rule, headers: decision.headers)
    }
    guard let origin else { return copy(decide(origin: nil, preflight: preflight)) }
    return Array(origin.utf8).withUnsafeBytes { copy(decide(origin: $0, preflight: preflight)) }
  }

  func preflight(
    _ origin: String?, method: String, headers: String? = nil, privateNetwork: Bool = false
  ) -> Verdict {
    Array(method.utf8).withUnsafeBytes { method in
      guard let headers else {
        return verdict(
          origin,
          CORSPreflight(requestMethod: method, requestHeaders: nil, requestsPrivateNetwork: privateNetwork))
      }
      return Array(headers.utf8).withUnsafeBytes { headers in
        verdict(
          origin,
          CORSPreflight(
            requestMethod: method, requestHeaders: headers, requestsPrivateNetwork: privateNetwork))
      }
    }
  }
}

@Suite("Origins")
struct OriginTests {
  @Test(
    "an origin is allowed only if a pattern stands for it, byte for byte",
    arguments: [
      ("https://velro.ai", "https://velro.ai", true),
      ("HTTPS://Velro.AI", "https://velro.ai", true),
      ("https://velro.ai:443", "https://velro.ai", true),
      ("https://velro.ai:8443", "https://velro.ai:8443", true),
      ("http://[::1]:3000", "http://[::1]:3000", true),
      ("http://127.0.0.1:3000", "http://127.0.0.1:3000", true),
      ("capacitor://localhost", "capacitor://localhost", true),
      ("null", "null", true),
      ("*", "https://anyone.example", true),
      ("*", "null", true),
      // Not as a browser serialises an origin.
      ("https://velro.ai", "https://velro.ai:443", false),
      ("https://velro.ai", "https://VELRO.ai", false),
      ("https://velro.ai", "https://velro.ai/", false),
      ("https://velro.ai", " https://velro.ai", false),
      ("https://velro.ai", "https://velro.ai https://velro.ai", false),
      // Another scheme, port or host.
      ("https://velro.ai", "http://velro.ai", false),
      ("https://velro.ai", "https://velro.ai:8443", false),
      ("https://velro.ai:8443", "https://velro.ai", false),
      ("https://velro.ai", "https://velro.ai.evil.example", false),
      ("https://velro.ai", "https://evilvelro.ai", false),
      ("https://velro.ai", "https://app.velro.ai", false),
      ("https://velro.ai", "null", false),
      ("https://velro.ai", "", false),
      ("https://velro.ai", "https://", false),
      ("null", "nulL", false),
      ("null", "https://velro.ai", false),
    ])
  func exact(pattern: String, origin: String, isAllowed: Bool) throws {
    #expect(try policy(origins: [pattern]).verdict(origin).isAllowed == isAllowed)
  }

  @Test(
    "a wildcard stands for every subdomain, and for nothing that only looks like one",
    arguments: [
      ("https://*.velro.ai", "https://app.velro.ai", true),
      ("https://*.velro.ai", "https://a.b.velro.ai", true),
      ("https://*.velro.ai", "https://xn--bcher-kva.velro.ai", true),
      ("https://*.velro.ai:8443", "https://app.velro.ai:8443", true),
      ("http://*.localhost:*", "http://app.localhost:5173", true),
      ("http://*.localhost:*", "http://app.localhost", true),
      ("https://*.velro.ai", "https://velro.ai", false),
      ("https://*.velro.ai", "https://.velro.ai", false),
      ("https://*.velro.ai", "https://a..velro.ai", false),
      ("https://*.velro.ai", "https://..velro.ai", false),
      ("https://*.velro.ai", "https://evilvelro.ai", false),
      ("https://*.velro.ai", "http://app.velro.ai", false),
      ("https://*.velro.ai", "https://app.velro.ai:8443", false),
      ("https://*.velro.ai", "https://app.velro.ai.evil.example", false),
      ("https://*.velro.ai", "https://evil.example/.velro.ai", false),
      ("https://*.velro.ai", "https://evil.example#.velro.ai", false),
      ("https://*.velro.ai", "https://evil.example:443@a.velro.ai", false),
      ("https://*.velro.ai", "https://evil.example\0.velro.ai", false),
      ("https://*.velro.ai", "https://APP.velro.ai", false),
      ("https://*.velro.ai", "https://*.velro.ai", false),
    ])
  func subdomains(pattern: String, origin: String, isAllowed: Bool) throws {
    #expect(try policy(origins: [pattern]).verdict(origin).isAllowed == isAllowed)
  }

  @Test(
    "any port is any port of that host, and none",
    arguments: [
      ("http://localhost", true), ("http://localhost:1", true), ("http://localhost:65535", true),
      ("http://localhost:65536", false), ("http://localhost:0", false), ("http://localhost:080", false),
      ("http://localhost:", false), ("http://localhost:*", false), ("http://localhost:80a", false),
      ("http://localhost:3000.evil.example", false), ("http://localhost.evil.example:3000", false),
      ("https://localhost:3000", false), ("http://localhost:3000:3000", false), ("http://:3000", false),
      ("http://localhost3000", false), ("http://localhost:99999999999999999999", false),
    ])
  func anyPort(origin: String, isAllowed: Bool) throws {
    #expect(try policy(origins: ["http://localhost:*"]).verdict(origin).isAllowed == isAllowed)
  }

  @Test("a host is matched before its port: an IPv6 address ends in no port of its own")
  func anyPortOfIPv6() throws {
    let local = try policy(origins: ["http://[::1]:*"])
    #expect(local.verdict("http://[::1]").isAllowed)
    #expect(local.verdict("http://[::1]:8080").isAllowed)
    #expect(!local.verdict("http://[::1]8080").isAllowed)
    #expect(!local.verdict("http://[::2]:8080").isAllowed)
  }

  @Test("the rule is the pattern that matched, as written")
  func rule() throws {
    let shop = try policy(origins: ["https://velro.ai", "https://*.Velro.ai", "http://localhost:*"])
    #expect(shop.verdict("https://velro.ai").rule == "https://velro.ai")
    #expect(shop.verdict("https://app.velro.ai").rule == "https://*.Velro.ai")
    #expect(shop.verdict("http://localhost:5173").rule == "http://localhost:*")
    #expect(shop.verdict("https://evil.example").rule == "origin not allowed")
    #expect(shop.verdict(nil).rule == "no Origin field")
  }

  @Test("mutations of an allowed origin are refused")
  func mutations() throws {
    var random = SystemRandomNumberGenerator()
    let seed = UInt64.random(in: 0...UInt64.max, using: &random)
    print("seed \(seed)")
    var generator = SplitMix(state: seed)
    let shop = try policy(origins: ["https://velro.ai", "https://*.velro.ai", "http://localhost:*"])
    let hostile = Array("/?#@:\\%*[] ,\t\0A\u{7F}".utf8)
    for base in ["https://velro.ai", "https://app.velro.ai"] {
      for _ in 0..<2000 {
        var bytes = Array(base.utf8)
        bytes.insert(
          hostile.randomElement(using: &generator) ?? 0,
          at: Int.random(in: 0...bytes.count, using: &generator))
        let isAllowed = bytes.withUnsafeBytes { shop.decide(origin: $0, preflight: nil).isAllowed }
        #expect(!isAllowed, "\(String(decoding: bytes, as: UTF8.self)), seed \(seed)")
      }
    }
  }
}

/// SplitMix64: the same sequence for the same seed.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
