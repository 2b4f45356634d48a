import Testing

@testable import bulkhead

extension PathPattern {
  fileprivate func matches(_ text: String) -> Bool {
    Array(text.utf8).withUnsafeBytes { matches($0) }
  }
}

@Suite("Path patterns")
struct PathPatternTests {
  @Test(
    "whole segments from the start, and everything below",
    arguments: [
      ("/", "/", true), ("/", "/a/b", true), ("/api", "/api", true), ("/api", "/api/", true),
      ("/api/", "/api", true),
      ("/api", "/api/v1/x", true), ("/api", "/apix", false), ("/api", "/ap", false), ("/api", "/", false),
      ("/api", "/x/api", false), ("/api/*", "/api/v1", true), ("/api/*", "/api/v1/x", true),
      ("/api/*", "/api", false),
      ("/api/*", "/api/", false), ("/api/*/users", "/api/v1/users/7", true),
      ("/api/*/users", "/api/users", false),
      ("/api/*/users", "/api/v1/v2/users", false), ("/api/*/users", "/api/v1/users2", false),
      ("/*", "/", false),
      ("/*", "/a", true), ("/*/*", "/a", false), ("/*/*", "/a/b", true), ("/API", "/api", false),
      ("/a", "", false),
      ("/a", "a", false), ("/a.b/~c", "/a.b/~c", true), ("/a", "*", false),
    ])
  func covers(pattern: String, path: String, isCovered: Bool) throws {
    #expect(try #require(PathPattern(pattern)).matches(path) == isCovered)
  }

  @Test("agrees with a comparison of segments, for random patterns and paths")
  func agreesWithSegments() throws {
    let seed = UInt64.random(in: 0 ... .max)
    print("seed \(seed)")
    var random = SplitMix64(state: seed)
    let names = ["a", "b", "ab", "*"]
    for _ in 0..<5000 {
      let pattern = (0..<Int.random(in: 0...3, using: &random)).map { _ in
        names.randomElement(using: &random)!
      }
      let path = (0..<Int.random(in: 0...4, using: &random)).map { _ in
        names[..<3].randomElement(using: &random)!
      }
      let expected = path.count >= pattern.count && zip(pattern, path).allSatisfy { $0 == "*" || $0 == $1 }
      let text = "/" + path.joined(separator: "/") + (path.isEmpty || Bool.random(using: &random) ? "" : "/")
      let compiled = try #require(PathPattern("/" + pattern.joined(separator: "/")))
      #expect(compiled.matches(text) == expected, "seed \(seed): \(compiled.text) \(text)")
    }
  }
}

extension AddressPrefix {
  fileprivate func contains(_ text: String) throws -> Bool {
    try #require(IPAddress(text)).bytes.withUnsafeBytes { contains($0) }
  }
}

@Suite("Address prefixes")
struct AddressPrefixTests {
  @Test(
    "IPv4, IPv6, and IPv4 in IPv6",
    arguments: [
      ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.1", false), ("10.1.2.3/8", "10.9.9.9", true),
      ("127.0.0.1", "127.0.0.1", true), ("127.0.0.1", "127.0.0.2", false), ("0.0.0.0/0", "8.8.8.8", true),
      ("0.0.0.0/0", "::1", false), ("::/0", "2001:db8::1", true), ("::/0", "8.8.8.8", false),
      ("fd00::/8", "fd12:3456::1", true), ("fd00::/8", "fe80::1", false),
      ("2001:db8::/65", "2001:db8::8000:0:0:1", false),
      ("2001:db8::/65", "2001:db8::7fff:0:0:1", true), ("::1", "::1", true), ("::1", "::2", false),
      ("10.0.0.0/8", "::ffff:10.1.1.1", true), ("::ffff:10.0.0.0/104", "10.1.1.1", true),
      ("::/0", "::ffff:8.8.8.8", false),
      ("192.168.1.128/25", "192.168.1.127", false), ("192.168.1.128/25", "192.168.1.200", true),
    ])
  func contains(prefix: String, address: String, isInside: Bool) throws {
    #expect(try #require(AddressPrefix(prefix)).contains(address) == isInside)
  }

  @Test("bytes that are no address lie in no block")
  func otherLengths() throws {
    let everything = try #require(AddressPrefix("0.0.0.0/0"))
    #expect(
      [1, 2, 3].withUnsafeBytes { everything.contains(UnsafeRawBufferPointer(rebasing: $0[..<3])) } == false)
    #expect(everything.contains(UnsafeRawBufferPointer(start: nil, count: 0)) == false)
  }

  @Test(
    "is shown in its shortest spelling",
    arguments: [("10.1.2.3/8", "10.0.0.0/8"), ("FD00:0::/8", "fd00::/8"), ("::1/128", "::1")])
  func text(written: String, shown: String) {
    #expect(AddressPrefix(written)?.text == shown)
  }
}

@Suite("Nearest names")
struct NearestNameTests {
  @Test(
    "finds slips of the fingers, and no others",
    arguments: [
      ("aplies-to", "applies-to"), ("lirbary", "library"), ("ON_FAILURE", "on-failure"), ("mout", "mount"),
      ("lib", "library"), ("whatever", nil), ("x", nil), ("", nil),
    ])
  func finds(written: String, meant: String?) {
    #expect(NearestName.of(written, among: ["library", "mount", "applies-to", "on-failure"]) == meant)
  }

  @Test(
    "distance counts insertions, deletions, substitutions and swaps",
    arguments: [
      ("", "abc", 3), ("abc", "abc", 0), ("abc", "acb", 1), ("kitten", "sitting", 3), ("ca", "abc", 3),
    ])
  func distance(a: String, b: String, edits: Int) {
    #expect(NearestName.distance(Array(a.utf8), Array(b.utf8)) == edits)
    #expect(NearestName.distance(Array(b.utf8), Array(a.utf8)) == edits)
  }
}
