import Foundation
import HTTPCodec
import Testing

@testable import bulkhead

@Suite("Bytes, memory and queries")
struct BytesTests {
  @Test("pieces of an arena stay where they are, are aligned, and do not overlap")
  func arena() {
    let seed = UInt64.random(in: 0 ... .max)
    print("seed \(seed)")
    var random = SplitMix64(state: seed)
    var arena = Arena(capacity: 512)
    for _ in 0..<20 {
      var copies: [(bh_bytes, [UInt8])] = []
      for _ in 0..<50 {
        let bytes = (0..<Int.random(in: 0...200, using: &random)).map { _ in
          UInt8.random(in: 0...255, using: &random)
        }
        let copy = bytes.withUnsafeBytes { arena.copy(bh_bytes($0)) }
        if let data = copy.data { #expect(Int(bitPattern: data) % 16 == 0) }
        copies.append((copy, bytes))
      }
      for (copy, bytes) in copies { #expect(Array(copy.buffer) == bytes, "seed \(seed)") }
      arena.reset()
    }
  }

  @Test("strings of any bytes become JSON strings that parse back to them")
  func json() throws {
    let seed = UInt64.random(in: 0 ... .max)
    print("seed \(seed)")
    var random = SplitMix64(state: seed)
    for _ in 0..<300 {
      let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in
        Bool.random(using: &random)
          ? UInt8.random(in: 0...0x7f, using: &random) : UInt8.random(in: 0...255, using: &random)
      }
      var buffer = ByteBuffer(capacity: 0)
      bytes.withUnsafeBytes { buffer.appendJSONString(bh_bytes($0)) }
      let text = Data(UnsafeRawBufferPointer(buffer.readable))
      let parsed = try JSONSerialization.jsonObject(with: text, options: .fragmentsAllowed) as? String
      #expect(parsed == String(decoding: bytes, as: UTF8.self), "seed \(seed)")
    }
  }

  @Test(
    "a query's parameters, decoded",
    arguments: [
      ("a=1&b=2", "a", "1"), ("a=1&a=2", "a", "1"), ("a+b=c+d", "a b", "c d"), ("a=%2Fx%3D", "a", "/x="),
      ("a=b=c", "a", "b=c"), ("a", "a", ""), ("a=", "a", ""), ("&&a=1&&", "a", "1"), ("a=%", "a", "%"),
      ("a=%2", "a", "%2"), ("a=%zz", "a", "%zz"), ("a=%C3%A4", "a", "ä"), ("b=1", "a", nil), ("", "a", nil),
    ])
  func query(_ text: String, _ name: String, _ value: String?) {
    #expect(text.withBytes { Query($0)[name] } == value)
  }

  @Test("comparisons")
  func comparisons() {
    #expect(bh_bytes("Content-Type").equalsIgnoringCase(bh_bytes("content-TYPE")))
    #expect(!bh_bytes("a").equalsIgnoringCase(bh_bytes("ab")))
    #expect(bh_bytes().equals(bh_bytes("")))
    #expect(bh_bytes("abc").hasPrefix("ab") && !bh_bytes("a").hasPrefix("ab"))
    #expect(bh_bytes("abc").dropFirst(3).isEmpty && bh_bytes("abc").dropFirst(1).equals("bc"))
    #expect(bh_bytes(" \t a b\t").trimmed.equals("a b") && bh_bytes("  ").trimmed.isEmpty)
    #expect(bh_bytes("abc").prefix(2).equals("ab") && bh_bytes("abc").prefix(9).equals("abc"))
  }

  @Test("ids are 32 lower-case digits, and all digits occur everywhere")
  func identifiers() {
    var generator = IdentifierGenerator()
    var seen = Array(repeating: Set<UInt8>(), count: 32)
    for _ in 0..<2000 {
      withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { memory in
        generator.writeHexadecimal(words: 2, to: memory.baseAddress!)
        for (index, byte) in memory.enumerated() { seen[index].insert(byte) }
      }
    }
    #expect(seen.allSatisfy { $0 == Set("0123456789abcdef".utf8) })
  }

  @Test("times as RFC 3339 writes them")
  func times() {
    #expect(Clock.rfc3339(0) == "1970-01-01T00:00:00.000Z")
    #expect(Clock.rfc3339(951_782_400_123_999_999) == "2000-02-29T00:00:00.123Z")
    #expect(Clock.rfc3339(4_102_444_799_999_000_000) == "2099-12-31T23:59:59.999Z")
    #expect(Duration.seconds(-1).nanoseconds == 0)
    #expect(Duration.seconds(Int64.max).nanoseconds == .max)
    #expect(Duration.milliseconds(1500).nanoseconds == 1_500_000_000)
  }
}
