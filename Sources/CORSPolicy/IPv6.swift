/// The text of an IPv6 address as a serialised origin has it (URL standard, "IPv6 serializer"; RFC 5952
/// section 4 without the dotted form): lower case, no leading zeros, the first longest run of zeros as `::`.
///
/// - Parameter text: without brackets, in lower case.
/// - Returns: nil if `text` is no IPv6 address.
func canonicalIPv6(_ text: Substring) -> String? {
  guard let groups = ipv6Groups(text) else { return nil }
  var best = 0..<0
  var start = 0
  while start < 8 {
    var end = start
    while end < 8, groups[end] == 0 { end += 1 }
    if end - start > max(1, best.count) { best = start..<end }
    start = max(end, start + 1)
  }
  let hex = groups.map { String($0, radix: 16) }
  guard !best.isEmpty else { return hex.joined(separator: ":") }
  return hex[..<best.lowerBound].joined(separator: ":") + "::"
    + hex[best.upperBound...].joined(separator: ":")
}

/// The eight groups of an address (RFC 4291 section 2.2), its last two perhaps written as IPv4.
private func ipv6Groups(_ text: Substring) -> [UInt16]? {
  guard let halves = parts(of: text, around: "::") else {
    guard let groups = groupList(text), groups.count == 8 else { return nil }
    return groups
  }
  guard let head = groupList(halves.before, mayEndInIPv4: false), let tail = groupList(halves.after),
    head.count + tail.count <= 7
  else { return nil }
  return head + Array(repeating: 0, count: 8 - head.count - tail.count) + tail
}

private func groupList(_ text: Substring, mayEndInIPv4: Bool = true) -> [UInt16]? {
  if text.isEmpty { return [] }
  let parts = text.split(separator: ":", omittingEmptySubsequences: false)
  var groups: [UInt16] = []
  for (index, part) in parts.enumerated() {
    if mayEndInIPv4, index == parts.count - 1, part.contains(".") {
      let octets = part.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
      guard octets.count == 4, let a = octets[0], let b = octets[1], let c = octets[2], let d = octets[3]
      else {
        return nil
      }
      groups += [UInt16(a) << 8 | UInt16(b), UInt16(c) << 8 | UInt16(d)]
    } else {
      guard (1...4).contains(part.utf8.count), part.utf8.first != UInt8(ascii: "+"),
        let group = UInt16(part, radix: 16)
      else { return nil }
      groups.append(group)
    }
  }
  return groups
}
