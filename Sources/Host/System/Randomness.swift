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

/// Random identifiers of one thread: xoshiro256++ (Blackman and Vigna, 2019), seeded by the kernel.
///
/// Request and trace ids have to be unique, not secret: nothing may rest on their being hard to guess.
struct IdentifierGenerator: ~Copyable {
  private var state: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

  init() {
    withUnsafeMutableBytes(of: &state) { Randomness.fill($0) }
    // All zero is the one state it never leaves.
    if state == (0, 0, 0, 0) { state.0 = 1 }
  }

  private mutating func next() -> UInt64 {
    func rotated(_ value: UInt64, _ by: UInt64) -> UInt64 { value << by | value >> (64 - by) }
    let result = rotated(state.0 &+ state.3, 23) &+ state.0
    let shifted = state.1 << 17
    state.2 ^= state.0
    state.3 ^= state.1
    state.1 ^= state.2
    state.0 ^= state.3
    state.2 ^= shifted
    state.3 = rotated(state.3, 45)
    return result
  }

  /// Writes 16 random lower-case hexadecimal digits for each word.
  mutating func writeHexadecimal(words: Int, to output: UnsafeMutableRawPointer) {
    for word in 0..<words {
      let value = next()
      output.storeBytes(
        of: hexadecimalDigits(UInt32(truncatingIfNeeded: value)), toByteOffset: word * 16, as: UInt64.self)
      output.storeBytes(
        of: hexadecimalDigits(UInt32(value >> 32)), toByteOffset: word * 16 + 8, as: UInt64.self)
    }
  }

  /// Eight digits at once: a nibble to each byte, then 'a'-'0'-10 more for those past nine.
  @inline(__always)
  private func hexadecimalDigits(_ value: UInt32) -> UInt64 {
    var spread = UInt64(value)
    spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff
    spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff
    spread = (spread | spread << 4) & 0x0f0f_0f0f_0f0f_0f0f
    let pastNine = ((spread &+ 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101
    return spread &+ 0x3030_3030_3030_3030 &+ pastNine &* 0x27
  }
}
