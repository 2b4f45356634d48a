extension OriginPattern {
  /// Reads one entry of `origins`.
  ///
  /// - Throws: `malformedOrigin` or `publicSuffix`.
  init(parsing text: String) throws(CORSPolicyError) {
    func malformed(_ reason: String) -> CORSPolicyError { .malformedOrigin(text, reason: reason) }
    let lowercase = text.lowercased()
    guard let (start, tail) = parts(of: lowercase[...], around: "://") else {
      throw malformed("needs a scheme, as in https://\(text.isEmpty ? "example.com" : text)")
    }
    let scheme = String(start)
    guard isScheme(scheme) else { throw malformed("\"\(scheme)\" is no URL scheme") }
    guard scheme != "file" else { throw malformed("pages from files have the origin \"null\"") }

    let rest = tail
    if rest.contains("@") { throw malformed("an origin has no user name") }
    if let end = rest.firstIndex(where: { "/?#\\".contains($0) }) {
      let isSlash = rest[end...] == "/"
      throw malformed(isSlash ? "an origin does not end in a slash" : "an origin has no path")
    }
    guard rest.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
      throw malformed("only ASCII, without spaces; a name in other letters is written as xn--…")
    }

    let (host, portText) = splitPort(rest)
    var port = ""
    if let portText, portText != "*" {
      guard !portText.isEmpty, portText.utf8.allSatisfy(isDigit), let number = UInt16(portText), number > 0
      else {
        throw malformed("the port is 1…65535, or * for any")
      }
      port = number == defaultPort(of: scheme) ? "" : ":\(number)"
    }

    let isWild = host.hasPrefix("*.")
    let name = String(isWild ? host.dropFirst(2) : host)
    if let reason = faultOfHost(name, isWild: isWild) { throw malformed(reason) }
    if isWild, isPublicSuffix(name) { throw .publicSuffix(text) }

    self.init(
      text: text, serialized: Array("\(scheme)://\(isWild ? "." : "")\(name)\(port)".utf8),
      schemeCount: scheme.utf8.count + 3, matchesSubdomains: isWild, matchesAnyPort: portText == "*")
  }
}

/// RFC 3986 section 3.1.
private func isScheme(_ text: String) -> Bool {
  guard let first = text.utf8.first, (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(first) else {
    return false
  }
  return text.utf8.allSatisfy {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || isDigit($0)
      || $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".")
  }
}

private func defaultPort(of scheme: String) -> UInt16? {
  switch scheme {
  case "http", "ws": 80
  case "https", "wss": 443
  case "ftp": 21
  default: nil
  }
}

/// Splits at the last colon, unless that belongs to an IPv6 address in brackets.
private func splitPort(_ authority: Substring) -> (host: Substring, port: Substring?) {
  guard let colon = authority.lastIndex(of: ":"), !authority[colon...].contains("]") else {
    return (authority, nil)
  }
  return (authority[..<colon], authority[authority.index(after: colon)...])
}

/// What is wrong with a host in lower case, or nil.
private func faultOfHost(_ host: String, isWild: Bool) -> String? {
  if host.isEmpty { return "the host is missing" }
  if host.hasPrefix("[") {
    if isWild { return "an address has no subdomains" }
    guard host.hasSuffix("]"), let canonical = canonicalIPv6(host.dropFirst().dropLast()) else {
      return "the IPv6 address is malformed"
    }
    return host == "[\(canonical)]" ? nil : "browsers write this address as [\(canonical)]"
  }
  if host.contains("*") { return "* stands only for subdomains (https://*.example.com) or the port" }
  if host.utf8.count > 253 { return "the host is longer than 253 characters" }
  let labels = host.split(separator: ".", omittingEmptySubsequences: false)
  for label in labels {
    if label.isEmpty { return "the host has an empty label" }
    if label.utf8.count > 63 { return "\"\(label)\" is longer than 63 characters" }
    if !label.utf8.allSatisfy(isHostCharacter) { return "\"\(label)\" is no label of a host name" }
  }
  // A last label of digits makes a host an IPv4 address (URL standard, "ends in a number").
  if let last = labels.last, last.utf8.allSatisfy(isDigit) {
    if isWild { return "an address has no subdomains" }
    let octets = labels.compactMap { UInt8($0) }
    guard octets.count == 4, octets.map(String.init).joined(separator: ".") == host else {
      return "the IPv4 address is malformed; browsers write four numbers of 0…255"
    }
  }
  return nil
}
