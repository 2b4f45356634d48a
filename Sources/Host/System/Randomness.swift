import Glibc
import LinuxShims

/// The kernel's random bytes (getrandom(2)).
enum Randomness {
  static func fill(_ buffer: UnsafeMutableRawBufferPointer) {
    var filled = 0
    while filled < buffer.count {
      let count = getrandom(buffer.baseAddress! + filled, min(buffer.count - filled, 256), 0)
      // Without flags, and once the pool is ready, requests of up to 256 bytes are neither cut short nor refused; before, a signal may interrupt.
      if count > 0 { filled += count }
    }
  }
}

/// A batch of random bytes for one thread: one system call for many request ids.
struct RandomPool: ~Copyable {
  private static let capacity = 4096
  private let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: RandomPool.capacity, alignment: 16)
  private var used = RandomPool.capacity

  deinit { bytes.deallocate() }

  /// Writes `count` random bytes as lower-case hexadecimal digits, twice as many.
  mutating func writeHexadecimal(_ count: Int, to output: UnsafeMutableRawPointer) {
    if used + count > RandomPool.capacity {
      Randomness.fill(bytes)
      used = 0
    }
    for index in 0..<count {
      let byte = bytes[used + index]
      output.storeBytes(of: hexadecimalDigit(byte >> 4), toByteOffset: index * 2, as: UInt8.self)
      output.storeBytes(of: hexadecimalDigit(byte & 15), toByteOffset: index * 2 + 1, as: UInt8.self)
    }
    used += count
  }
}
