import Testing

@testable import HTTPCodec

@Suite("a path")
struct PathNormalizerTests {
  @Test(
    "has one spelling",
    arguments: [
      ("/", "/"), ("", "/"), ("*", "*"), ("/a/b", "/a/b"), ("/a/b/", "/a/b/"), ("/%61%2D%2e%5F%7e", "/a-._~"),
      ("/%41%5a%39", "/AZ9"), ("/a%c3%a9", "/a%C3%A9"), ("/a%20b", "/a%20b"), ("/%3a%3B", "/:;"),
      ("/users/%40me", "/users/@me"), ("/jobs/a%3Arun", "/jobs/a:run"),
      ("/%21%24%26%27%28%29%2a%2B%2c%3D", "/!$&'()*+,="), ("/%7c%5B%5d", "/|[]"),
      ("/%22%3c%7B%5e", "/%22%3C%7B%5E"),
      ("/%252F", "/%252F"), ("/%25%32%66", "/%252f"), ("//a///b//", "/a/b/"), ("/./a/./b/.", "/a/b/"),
      ("/a/../b", "/b"), ("/a/b/..", "/a/"), ("/a/b/../", "/a/"), ("/../../a", "/a"), ("/..", "/"),
      ("/.", "/"),
      ("/a/..", "/"), ("/a/%2e%2E/b", "/b"), ("/a/.%2e", "/"), ("/%2e", "/"), ("/a//../b", "/b"),
      ("/...", "/..."), ("/.a/..b/c.", "/.a/..b/c."), ("/a/b/c/./../../g", "/a/g"),
      ("/a;x=1/..;/b", "/a;x=1/..;/b"),
      ("/%2e./%2e/x", "/x"), ("/a|[b]@:!$&'()*+,;=", "/a|[b]@:!$&'()*+,;="),
    ])
  func spelling(raw: String, normal: String) {
    #expect(normalize(raw) == .normalized(normal))
    #expect(normalize(normal) == .normalized(normal))
    #expect(isNormal(raw) == (raw == normal))
  }

  @Test(
    "is refused if decoders could differ on it",
    arguments: [
      "a", "*a", "**", "/%2f", "/a%2Fb", "/%5C", "/%5c", "/%00", "/a\\b", "/%", "/%4", "/%4g", "/%g4", "/a%",
      "/%%41",
      "/a b", "/a?b", "/a#b", "/a\u{0}", "/a\u{7F}", "/é", "/\"", "/<a>", "/{id}", "/a^b", "/`",
    ])
  func refused(raw: String) throws {
    guard case .refused(let error) = normalize(raw) else {
      Issue.record("\(raw) was not refused")
      return
    }
    #expect(error.status == 400)
    #expect(!isNormal(raw))
  }

  @Test("is normalised in place")
  func inPlace() throws {
    var bytes = Array("/a/%2e%2e//b%2f".utf8.dropLast(3))
    let count = try bytes.withUnsafeMutableBytes {
      try PathNormalizer.normalize(UnsafeRawBufferPointer($0), into: $0)
    }
    #expect(String(decoding: bytes[..<count], as: UTF8.self) == "/b")
  }

  @Test("has the same spelling whichever of its characters are escaped")
  func oneSpelling() {
    var random = SplitMix64.printingSeed()
    let allowed = (UInt8.min...UInt8.max).filter { !"/\\\0".utf8.contains($0) }
    for _ in 0..<20_000 {
      let segment = (0..<Int.random(in: 1..<9, using: &random)).map { _ in
        allowed.randomElement(using: &random)!
      }
      func spelt() -> String {
        segment.map { octet in
          let isRaw = Octets.isIn(.plainPath, octet) && Bool.random(using: &random)
          guard !isRaw else { return String(UnicodeScalar(octet)) }
          let digits = String(octet, radix: 16, uppercase: Bool.random(using: &random))
          return octet < 16 ? "%0\(digits)" : "%\(digits)"
        }.joined()
      }
      let (one, other) = ("/\(spelt())", "/\(spelt())")
      #expect(normalize(one) == normalize(other), "\(one) \(other)")
      guard case .normalized(let normal) = normalize(one) else {
        Issue.record("\(one) was refused")
        continue
      }
      #expect(isNormal(normal), "\(normal)")
    }
  }

  @Test("once normalised is normal, whatever it was")
  func idempotence() {
    var random = SplitMix64.printingSeed()
    let pieces = [
      "/", "/", ".", "..", "a", "%2e", "%2E", "%61", "%c3", "%2f", "%25", "%", "b", "*", "|", "é", "\\",
      "@", "%40", ":", "%3a", "%7C",
    ]
    var normalized = 0
    for _ in 0..<50_000 {
      let raw =
        "/"
        + (0..<Int.random(in: 0..<9, using: &random)).map { _ in pieces.randomElement(using: &random)! }
        .joined()
      guard case .normalized(let normal) = normalize(raw) else {
        #expect(!isNormal(raw), "\(raw)")
        continue
      }
      normalized += 1
      #expect(normalize(normal) == .normalized(normal), "\(raw)")
      #expect(isNormal(normal), "\(raw)")
      #expect(isNormal(raw) == (raw == normal), "\(raw)")
      #expect(normal.utf8.count <= raw.utf8.count, "\(raw)")
      #expect(!normal.split(separator: "/").contains { $0 == "." || $0 == ".." }, "\(raw)")
      #expect(!normal.contains("//"), "\(raw)")
    }
    #expect(normalized > 10_000)
  }
}
