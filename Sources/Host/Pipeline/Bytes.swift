import Glibc
import HTTPCodec
@_exported import PluginABI

extension bh_bytes {
  @inline(__always)
  init(_ start: UnsafeRawPointer, _ count: Int) {
    self.init(data: start.assumingMemoryBound(to: CChar.self), count: count)
  }

  @inline(__always)
  init(_ bytes: UnsafeRawBufferPointer) {
    self.init(data: bytes.baseAddress?.assumingMemoryBound(to: CChar.self), count: bytes.count)
  }

  /// A literal's bytes, which live as long as the process.
  @inline(__always)
  init(_ literal: StaticString) {
    self.init(literal.utf8Start, literal.utf8CodeUnitCount)
  }

  /// A count past Int.max, which only a plugin can have made, is none.
  @inline(__always)
  var buffer: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: data, count: max(0, count)) }

  var isEmpty: Bool { count == 0 }

  /// Ill-formed UTF-8 is repaired with U+FFFD.
  var string: String { String(decoding: buffer, as: UTF8.self) }

  @inline(__always)
  func equals(_ other: bh_bytes) -> Bool {
    count == other.count && (count == 0 || memcmp(data, other.data, count) == 0)
  }

  /// Without regard to the case of ASCII letters, as field names are compared (RFC 9110 section 5.1).
  func equalsIgnoringCase(_ other: bh_bytes) -> Bool {
    guard count == other.count else { return false }
    return count == 0 || strncasecmp(data, other.data, count) == 0
  }

  @inline(__always)
  func hasPrefix(_ literal: StaticString) -> Bool {
    count >= literal.utf8CodeUnitCount && memcmp(data, literal.utf8Start, literal.utf8CodeUnitCount) == 0
  }

  @inline(__always)
  func equals(_ literal: StaticString) -> Bool {
    count == literal.utf8CodeUnitCount && memcmp(data, literal.utf8Start, count) == 0
  }

  func prefix(_ n: Int) -> bh_bytes { bh_bytes(data: data, count: min(n, count)) }

  func dropFirst(_ n: Int) -> bh_bytes {
    n >= count ? bh_bytes() : bh_bytes(UnsafeRawPointer(data!) + n, count - n)
  }
}

extension String {
  /// Lends the UTF-8 of the text.
  func withBytes<R>(_ body: (bh_bytes) -> R) -> R {
    var copy = self
    return copy.withUTF8 { body(bh_bytes(UnsafeRawBufferPointer($0))) }
  }
}

extension ByteBuffer {
  mutating func append(_ bytes: bh_bytes) { append(bytes.buffer) }

  /// A JSON string (RFC 8259 section 7), quotes included. Ill-formed UTF-8 is repaired.
  mutating func appendJSONString(_ bytes: bh_bytes) {
    append(byte: UInt8(ascii: "\""))
    appendJSONText(bytes)
    append(byte: UInt8(ascii: "\""))
  }

  /// The same without the quotes.
  mutating func appendJSONText(_ bytes: bh_bytes) {
    let isPlain = bytes.buffer.allSatisfy { $0 >= 0x20 && $0 < 0x7f && $0 != 0x22 && $0 != 0x5c }
    if isPlain {
      append(bytes)
    } else {
      for byte in bytes.string.utf8 {
        switch byte {
        case 0x22: append("\\\"" as StaticString)
        case 0x5c: append("\\\\" as StaticString)
        case 0x0a: append("\\n" as StaticString)
        case 0x0d: append("\\r" as StaticString)
        case 0x09: append("\\t" as StaticString)
        case 0..<0x20, 0x7f:
          append("\\u00" as StaticString)
          append(byte: hexadecimalDigit(byte >> 4))
          append(byte: hexadecimalDigit(byte & 15))
        default: append(byte: byte)
        }
      }
    }
  }
}

@inline(__always)
func hexadecimalDigit(_ nibble: UInt8) -> UInt8 {
  nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10
}
