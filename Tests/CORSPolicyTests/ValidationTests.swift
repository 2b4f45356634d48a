import CORSPolicy
import Testing

@Suite("Policies that are refused")
struct ValidationTests {
  @Test(
    "a malformed origin is refused, and the reason says what to write",
    arguments: [
      ("https://velro.ai/", "does not end in a slash"),
      ("https://velro.ai/shop", "has no path"),
      ("https://velro.ai?x", "has no path"),
      ("https://user@velro.ai", "no user name"),
      ("velro.ai", "https://velro.ai"),
      ("", "https://example.com"),
      ("://velro.ai", "no URL scheme"),
      ("1http://velro.ai", "no URL scheme"),
      ("file://velro.ai", "\"null\""),
      ("https://", "host is missing"),
      ("https://:443", "host is missing"),
      ("https://velro.ai:", "1…65535"),
      ("https://velro.ai:0", "1…65535"),
      ("https://velro.ai:65536", "1…65535"),
      ("https://velro.ai:+80", "1…65535"),
      ("https://bücher.example", "xn--"),
      ("https://velro .ai", "ASCII"),
      ("https://velro..ai", "empty label"),
      ("https://velro.ai.", "empty label"),
      ("https://*", "* stands only"),
      ("https://app.*.velro.ai", "* stands only"),
      ("https://*velro.ai", "* stands only"),
      ("https://*.*.velro.ai", "* stands only"),
      ("https://vel,ro.ai", "no label"),
      ("http://127.1", "IPv4"),
      ("http://1.2.3.256", "IPv4"),
      ("http://*.1.2.3.4", "no subdomains"),
      ("http://[::1", "IPv6"),
      ("http://[::1::2]", "IPv6"),
      ("http://[1:2:3]", "IPv6"),
      ("http://[0:0:0:0:0:0:0:1]:3000", "[::1]"),
      ("http://[::ffff:1.2.3.4]", "[::ffff:102:304]"),
      ("http://[2001:db8:0:0:1:0:0:1]", "[2001:db8::1:0:0:1]"),
      ("http://*.[::1]", "no subdomains"),
    ])
  func malformedOrigins(origin: String, says: String) {
    let error = #expect(throws: CORSPolicyError.self) { try policy(origins: [origin]) }
    #expect(error?.description.contains(says) == true, "\(String(describing: error))")
    #expect(error?.description.contains("\"\(origin)\"") == true)
  }

  @Test(
    "a wildcard over a suffix where anyone can register is refused",
    arguments: [
      "https://*.com", "https://*.ai", "https://*.co.uk", "https://*.com.au:8443", "https://*.github.io",
      "https://*.vercel.app", "https://*.up.railway.app", "https://*.intranet",
    ])
  func publicSuffixes(origin: String) {
    #expect(throws: CORSPolicyError.publicSuffix(origin)) { try policy(origins: [origin]) }
  }

  @Test(
    "a wildcard over one's own name is not",
    arguments: [
      "https://*.velro.ai", "https://*.velro.co.uk", "https://*.velro.github.io", "http://*.localhost",
      "https://*.shop.up.railway.app", "https://*.co.example",
    ])
  func ownSuffixes(origin: String) throws {
    _ = try policy(origins: [origin])
  }

  @Test("credentials for everyone are refused")
  func credentials() {
    #expect(throws: CORSPolicyError.credentialsForAnyOrigin) {
      try policy(origins: ["https://velro.ai", "*"], credentials: true)
    }
    #expect(throws: CORSPolicyError.credentialsForNullOrigin) {
      try policy(origins: ["null"], credentials: true)
    }
    #expect(throws: CORSPolicyError.wildcardWithCredentials(list: "methods")) {
      try policy(methods: ["*"], credentials: true)
    }
    #expect(throws: CORSPolicyError.wildcardWithCredentials(list: "headers")) {
      try policy(headers: ["*"], credentials: true)
    }
    #expect(throws: CORSPolicyError.wildcardWithCredentials(list: "expose")) {
      try policy(expose: ["*"], credentials: true)
    }
  }

  @Test("the private network for everyone is refused", arguments: ["*", "null"])
  func privateNetwork(origin: String) {
    #expect(throws: CORSPolicyError.privateNetworkForAnyOrigin(origin)) {
      try policy(origins: [origin], privateNetwork: true)
    }
  }

  @Test(
    "a method that is none, that no browser sends, or in the wrong case is refused",
    arguments: ["", "GET POST", "PÜT", "get", "Patch", "TRACE", "connect"])
  func methods(method: String) {
    #expect(throws: CORSPolicyError.self) { try policy(methods: ["GET", method]) }
  }

  @Test(
    "a field name that is none is refused, and the list is named",
    arguments: ["", "X Request", "X-Request:", "Ü", "a,b", "a\r\nb"])
  func names(name: String) {
    #expect(throws: CORSPolicyError.malformedFieldName(name, list: "headers")) { try policy(headers: [name]) }
    #expect(throws: CORSPolicyError.malformedFieldName(name, list: "expose")) { try policy(expose: [name]) }
  }

  @Test("max-age is not below zero, and zero is a value")
  func maxAge() throws {
    #expect(throws: CORSPolicyError.negativeMaxAge) { try policy(maxAge: .seconds(-1)) }
    let answer = try policy(maxAge: .zero).preflight("https://velro.ai", method: "GET")
    #expect(answer["Access-Control-Max-Age"] == "0")
  }

  @Test("an empty policy allows nobody")
  func empty() throws {
    let nobody = try policy(origins: [])
    #expect(!nobody.verdict("https://velro.ai").isAllowed)
    #expect(nobody.verdict("https://velro.ai").names == ["Vary"])
  }
}
