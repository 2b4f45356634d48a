import FoundationEssentials

/// Ids of objects: UUIDs (RFC 9562) in lower case.
public enum Identifier {
  /// A new random UUID, version 4, from the system's generator.
  ///
  /// Of bytes that the kernel hands out (getrandom(2)): Foundation's own `UUID()` reads a device, and of a process that has
  /// no descriptor left for it makes the same id again and again.
  public static func make() -> String {
    var generator = SystemRandomNumberGenerator()
    return make(generator.next(), generator.next())
  }

  /// A UUID, version 4, of 122 of these bits.
  static func make(_ high: UInt64, _ low: UInt64) -> String {
    let versioned = high & ~0xF000 | 0x4000
    let varied = low & ~(0b11 << 62) | 0b10 << 62
    let digits = [versioned, varied].map { half in
      let text = String(half, radix: 16)
      return String(repeating: "0", count: 16 - text.count) + text
    }.joined()
    var id = ""
    for (index, digit) in digits.enumerated() {
      if [8, 12, 16, 20].contains(index) { id.append("-") }
      id.append(digit)
    }
    return id
  }

  /// The id in lower case; nil if the text is no UUID in its 36-character form.
  public static func canonical(_ text: String) -> String? {
    UUID(uuidString: text)?.uuidString.lowercased()
  }
}
