import SystemLibrary

/// SHA-256 (FIPS 180-4), from libcrypto.
///
/// All machines must name a client's counter alike, so there is no secret key to hash with, as the local table has; and
/// nobody may find a value that names another's. Nor does an API key belong into Redis as it is.
struct KeyDigest: Sendable {
  private typealias Function =
    @convention(c) (UnsafePointer<UInt8>?, Int, UnsafeMutablePointer<UInt8>?) -> UnsafeMutablePointer<UInt8>?

  private let sha256: Function

  /// - Throws: `SystemLibraryError`.
  init() throws {
    sha256 = try SystemLibrary("libcrypto.so.3", package: "libssl3").function("SHA256")
  }

  /// The first 128 bits, in hexadecimal: of `prefix` in 8 bytes, little endian, and then `bytes`.
  func hexadecimal(prefix: UInt64, _ bytes: UnsafeRawBufferPointer) -> String {
    withUnsafeTemporaryAllocation(byteCount: 8 + bytes.count + 32, alignment: 8) { memory in
      memory.storeBytes(of: prefix.littleEndian, as: UInt64.self)
      if !bytes.isEmpty {
        UnsafeMutableRawBufferPointer(rebasing: memory[8...]).copyMemory(from: bytes)
      }
      let base = memory.baseAddress?.assumingMemoryBound(to: UInt8.self)
      let digest = base.map { $0 + 8 + bytes.count }
      _ = sha256(base, 8 + bytes.count, digest)
      return String(unsafeUninitializedCapacity: 32) { text in
        for index in 0..<16 {
          let byte = memory[8 + bytes.count + index]
          text[2 * index] = Self.digit(byte >> 4)
          text[2 * index + 1] = Self.digit(byte & 15)
        }
        return 32
      }
    }
  }

  private static func digit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
  }
}
