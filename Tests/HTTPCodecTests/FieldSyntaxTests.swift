import Testing

@testable import HTTPCodec

@Suite("the syntax of fields")
struct FieldSyntaxTests {
  private static let token = Set("!#$%&'*+-.^_`|~0123456789".utf8).union(letters)
  private static let letters = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)

  @Test("has tokens of the octets of RFC 9110 section 5.6.2")
  func tokens() {
    for octet in UInt8.min...UInt8.max {
      #expect(check([octet], FieldSyntax.isToken) == Self.token.contains(octet), "\(octet)")
      #expect(check([0x61, octet], FieldSyntax.isToken) == Self.token.contains(octet), "\(octet)")
    }
    #expect(!check([], FieldSyntax.isToken))
  }

  @Test("has values of the octets of RFC 9110 section 5.5, wherever they stand")
  func values() {
    for octet in UInt8.min...UInt8.max {
      let isAllowed = octet == 0x09 || (octet >= 0x20 && octet != 0x7F)
      for count in 1..<20 {
        for index in 0..<count {
          var value = [UInt8](repeating: 0xFF, count: count)
          value[index] = octet
          #expect(check(value, FieldSyntax.isFieldValue) == isAllowed, "\(octet) at \(index) of \(count)")
        }
      }
    }
    #expect(check([], FieldSyntax.isFieldValue))
  }

  @Test("has targets without controls, spaces, delimiters and fragments")
  func octetClasses() {
    let unreserved = Self.letters.union("0123456789-._~".utf8)
    let path = unreserved.union("!$&'()*+,;=:@%/|[]".utf8)
    for octet in UInt8.min...UInt8.max {
      #expect(Octets.isIn(.path, octet) == path.contains(octet))
      #expect(Octets.isIn(.plainPath, octet) == path.subtracting("%/".utf8).contains(octet))
      #expect(Octets.isIn(.query, octet) == path.union("?\\^`{}".utf8).contains(octet))
      #expect(Octets.isIn(.registeredName, octet) == unreserved.union("!$&'()*+;=".utf8).contains(octet))
      #expect(Octets.isIn(.hexadecimal, octet) == (Octets.value(ofHexadecimal: octet) != nil))
      let digit = Int(String(decoding: [octet], as: UTF8.self), radix: 16)
      #expect(Octets.value(ofHexadecimal: octet) == digit)
    }
  }

  @Test("compares names without the case of ASCII letters, and of nothing else")
  func comparison() {
    func equal(_ a: String, _ b: StaticString) -> Bool {
      check(Array(a.utf8)) { FieldSyntax.equalsIgnoringCase($0, b) }
    }
    #expect(equal("Content-TYPE", "content-type"))
    #expect(equal("", ""))
    #expect(!equal("a", "ab"))
    #expect(!equal("a\u{0D}b", "a-b"))
    #expect(!equal("@", "`"))
    #expect(!equal("[", "{"))
  }

  @Test(
    "has these hosts",
    arguments: [
      "a", "example.com", "EXAMPLE.com:80", "a:", "a:0", "a:65535", "127.0.0.1:8080", "a_b~c!$&'()*+;=",
      "[::]", "[::1]",
      "[::1]:443", "[1:2:3:4:5:6:7:8]", "[1::8]", "[1:2:3:4:5:6:7::]", "[::2:3:4:5:6:7:8]", "[fe80::AbCd]",
      "[::ffff:192.0.2.1]", "[1:2:3:4:5:6:1.2.3.4]",
    ])
  func hosts(host: String) {
    #expect(check(Array(host.utf8), FieldSyntax.isWellFormedHost))
  }

  @Test(
    "has none of these hosts",
    arguments: [
      "", ":80", "a:65536", "a:000080", "a:-1", "a:+1", "a:1a", "a:80:", "u@a", "a/", "a?b", "a#b", "a,b",
      "a b", "a%20",
      "a\\b", "a\"", "é", "a\u{0}", "a\t", "[", "[]", "[::1", "[::1]a", "[::1]80", "::1", "[:::]",
      "[1::2::3]", "[:1::2]",
      "[1:2:3:4:5:6:7]", "[1:2:3:4:5:6:7:8:9]", "[1:2:3:4:5:6:7:8::]", "[::1:]", "[12345::]", "[g::]",
      "[::256.0.0.1]", "[::1.2.3]", "[::1.2.3.4.5]", "[::01.2.3.4]", "[1:2:3:4:5:6:7:1.2.3.4]", "[1.2.3.4]",
      "[v1.a]", "[fe80::1%25eth0]",
    ])
  func noHosts(host: String) {
    #expect(!check(Array(host.utf8), FieldSyntax.isWellFormedHost))
  }

  private func check(_ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) -> Bool) -> Bool {
    bytes.withUnsafeBytes(body)
  }
}
