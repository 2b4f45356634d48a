/// One entry of a policy's `origins`, compiled to what matching needs.
///
/// Written as `https://velro.ai`, `https://*.velro.ai` (any depth below, not the host itself),
/// `http://localhost:*` (any port, and none), or both wildcards together. Matching is of bytes against a
/// serialised origin (HTML section "serialization of an origin"): scheme and host in lower case, a default
/// port left out. So nothing of what a client sends is parsed or normalised, and no spelling slips past.
struct OriginPattern: Sendable {
  /// As written, for diagnostics.
  let text: String
  /// The origin as it is serialised; with `matchesSubdomains`, without the label in front:
  /// `https://.velro.ai`.
  let serialized: [UInt8]
  /// Of `https://`.
  let schemeCount: Int
  let matchesSubdomains: Bool
  let matchesAnyPort: Bool

  /// True if the bytes of an Origin field are an origin that this pattern stands for.
  func matches(_ origin: UnsafeRawBufferPointer) -> Bool {
    let end = matchesAnyPort ? origin.count - lengthOfPort(at: origin) : origin.count
    guard matchesSubdomains else { return end == serialized.count && hasBytes(origin, 0..<end, from: 0) }
    let nameEnd = end - (serialized.count - schemeCount)
    return nameEnd > schemeCount && hasBytes(origin, 0..<schemeCount, from: 0)
      && hasBytes(origin, nameEnd..<end, from: schemeCount) && isSubdomain(origin[schemeCount..<nameEnd])
  }

  /// True if these bytes of an origin are the pattern's from `start` on.
  @inline(__always)
  private func hasBytes(_ origin: UnsafeRawBufferPointer, _ range: Range<Int>, from start: Int) -> Bool {
    serialized.withUnsafeBytes { mine in
      var offset = start
      for index in range {
        if origin[index] != mine[offset] { return false }
        offset += 1
      }
      return true
    }
  }

  /// The length of `:8443` at the end of an origin; 0 if it ends in no port.
  private func lengthOfPort(at origin: UnsafeRawBufferPointer) -> Int {
    var index = origin.count
    while index > 0, isDigit(origin[index - 1]) { index -= 1 }
    let digits = origin[index...]
    guard index > 0, origin[index - 1] == UInt8(ascii: ":"), (1...5).contains(digits.count),
      digits.first != UInt8(ascii: "0"), digits.reduce(0, { $0 * 10 + Int($1 - UInt8(ascii: "0")) }) <= 65535
    else { return 0 }
    return digits.count + 1
  }

  /// True for labels joined by dots, and nothing that could end a host name before the part that is trusted.
  private func isSubdomain(_ name: Slice<UnsafeRawBufferPointer>) -> Bool {
    guard name.count <= 253, name.last != UInt8(ascii: ".") else { return false }
    var previous = UInt8(ascii: ".")
    for byte in name {
      if byte == UInt8(ascii: ".") ? previous == byte : !isHostCharacter(byte) { return false }
      previous = byte
    }
    return true
  }
}

/// True for what a label of a serialised host may hold; a URL's host also admits the underscore.
@inline(__always)
func isHostCharacter(_ byte: UInt8) -> Bool {
  switch byte {
  case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
    UInt8(ascii: "_"):
    true
  default: false
  }
}
