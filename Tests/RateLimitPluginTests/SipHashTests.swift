import Testing

@testable import RateLimitPlugin

@Suite("SipHash-1-3")
struct SipHashTests {
  /// Of the bytes 0, 1, 2… and a key of zeros, as CPython 3.11 hashes them with PYTHONHASHSEED=0.
  @Test(
    "the hash is that of another implementation",
    arguments: [
      (8, 0xead4_11e6_7ebe_2eea), (9, 0x7592_7f9d_9512_4362), (15, 0xf30e_b725_bb91_c9ea),
      (16, 0x8972_1884_33a5_c5b7), (24, 0x3118_5a47_af93_2f3a), (63, 0x385d_3e39_e5f3_7359),
    ] as [(UInt8, UInt64)])
  func vectors(count: UInt8, hash: UInt64) {
    let rest = Array(8..<max(8, count))
    let computed = rest.withUnsafeBytes { SipHash(key: (0, 0)).hash(prefix: 0x0706_0504_0302_0100, $0) }
    #expect(computed == hash)
  }

  @Test("another key or another prefix is another hash")
  func keyed() {
    let bytes = Array("198.51.100.7".utf8)
    let hashes = bytes.withUnsafeBytes { bytes in
      Set([
        SipHash(key: (1, 2)).hash(prefix: 0, bytes), SipHash(key: (1, 3)).hash(prefix: 0, bytes),
        SipHash(key: (0, 2)).hash(prefix: 0, bytes), SipHash(key: (1, 2)).hash(prefix: 1, bytes),
      ])
    }
    #expect(hashes.count == 4)
  }
}
