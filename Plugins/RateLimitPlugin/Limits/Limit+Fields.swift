/// The RateLimit header fields (draft-ietf-httpapi-ratelimit-headers-10): lists of structured fields (RFC
/// 9651), an item a limit.
extension Limit {
  /// `"login";q=5;w=60`: constant. The window is left out if it is not of whole seconds.
  var policyItem: String {
    let window = period % 1_000_000_000 == 0 ? ";w=\(period / 1_000_000_000)" : ""
    return "\"\(name)\";q=\(count)\(window)"
  }

  /// `"login";r=`: what each item of the RateLimit field begins with.
  var stateStart: [UInt8] { Array("\"\(name)\";r=".utf8) }
}

/// Writes a RateLimit field into memory that is long enough for it.
struct StateField {
  /// Of one item, with a name of 40 characters, two numbers of 20 digits, and a separator.
  static let longestItem = 96

  private let buffer: UnsafeMutableBufferPointer<UInt8>
  private(set) var count = 0

  init(_ buffer: UnsafeMutableBufferPointer<UInt8>) { self.buffer = buffer }

  /// `"login";r=3;t=12`: what is left, and in how many seconds there will be all of it; or, with nothing
  /// left, one.
  mutating func append(_ start: [UInt8], remaining: UInt64, reset: UInt64) {
    if count > 0 { append(", ") }
    for byte in start { append(byte) }
    append(decimal: remaining)
    append(";t=")
    append(decimal: wholeSeconds(reset))
  }

  private mutating func append(_ byte: UInt8) {
    buffer[count] = byte
    count += 1
  }

  private mutating func append(_ text: StaticString) {
    for index in 0..<text.utf8CodeUnitCount { append(text.utf8Start[index]) }
  }

  private mutating func append(decimal number: UInt64) {
    if number >= 10 { append(decimal: number / 10) }
    append(UInt8(ascii: "0") + UInt8(number % 10))
  }
}

/// Rounded up, so that whoever waits so long has waited long enough.
func wholeSeconds(_ nanoseconds: UInt64) -> UInt64 { (nanoseconds + 999_999_999) / 1_000_000_000 }
