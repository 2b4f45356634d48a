/// One entry of a policy's `origins`, compiled to what matching needs.
///
/// Written as `https://velro.ai`, `https://*.velro.ai` (any depth below, not the host itself),
/// `http://localhost:*` (any port, and none), or both wildcards together. Matching is of bytes against a
/// serialised origin (HTML section "serialization of an origin"): scheme and host in lower case, a default
/// port left out. So nothing of what a client sends is parsed or normalised, and no spelling slips past.
struct OriginPattern: Sendable {
  /// As written, for diagnostics.
  let text: String
  /// `https://`
  let scheme: [UInt8]
  /// `velro.ai`, or `.velro.ai` if any subdomain of it is meant; in brackets if it is IPv6.
  let host: [UInt8]
  /// `:8443`; empty for the scheme's default.
  let port: [UInt8]
  let matchesSubdomains: Bool
  let matchesAnyPort: Bool

  /// True if the bytes of an Origin field are an origin that this pattern stands for.
  func matches(_ origin: UnsafeRawBufferPointer) -> Bool {
    guard origin.count >= scheme.count + host.count, isEqual(origin[..<scheme.count], scheme) else {
      return false
    }
    guard let hostEnd = endOfHost(in: origin) else { return false }
    let name = origin[scheme.count..<hostEnd]
    if !matchesSubdomains { return isEqual(name, host) }
    return name.count > host.count && isEqual(name.suffix(host.count), host)
      && isSubdomain(name.dropLast(host.count))
  }

  /// Where the host ends if the port is one that is meant; else nil.
  private func endOfHost(in origin: UnsafeRawBufferPointer) -> Int? {
    if matchesAnyPort { return origin.count - lengthOfPort(at: origin) }
    let end = origin.count - port.count
    return end >= scheme.count && isEqual(origin[end...], port) ? end : nil
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
