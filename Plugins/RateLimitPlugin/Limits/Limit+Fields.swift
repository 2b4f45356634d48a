/// The RateLimit header fields (draft-ietf-httpapi-ratelimit-headers-10): lists of structured fields (RFC
/// 9651), an item a limit.
extension Limit {
  /// `"login";q=5;w=60`: constant. The window is left out if it is not of whole seconds.
  var policyItem: String {
    let window = period % 1_000_000_000 == 0 ? ";w=\(period / 1_000_000_000)" : ""
    return "\"\(name)\";q=\(count)\(window)"
  }

  /// `"login";r=3;t=12`: what is left, and in how many seconds there will be all of it; or, with nothing
  /// left, one.
  func appendItem(remaining: UInt64, reset: UInt64, to field: inout String) {
    field += "\""
    field += name
    field += "\";r="
    field.append(decimal: remaining)
    field += ";t="
    field.append(decimal: wholeSeconds(reset))
  }
}

/// Rounded up, so that whoever waits so long has waited long enough.
func wholeSeconds(_ nanoseconds: UInt64) -> UInt64 { (nanoseconds + 999_999_999) / 1_000_000_000 }

extension String {
  /// Without an intermediate string.
  fileprivate mutating func append(decimal number: UInt64) {
    if number >= 10 { append(decimal: number / 10) }
    unicodeScalars.append(Unicode.Scalar(UInt8(ascii: "0") + UInt8(number % 10)))
  }
}
