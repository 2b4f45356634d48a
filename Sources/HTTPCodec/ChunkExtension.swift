/// The grammar of what may follow a chunk size on its line (RFC 9112 section 7.1.1), one octet at a time:
/// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`.
struct ChunkExtension: Sendable {
  private enum State: UInt8 {
    case beforeSemicolon, nameStart, name, beforeEquals, valueStart, token, quoted, escape
    case afterQuoted
  }

  private var state: State = .beforeSemicolon
  /// Octets accepted.
  private(set) var count = 0

  /// Whether the line may end here.
  var mayEnd: Bool {
    state == .name || state == .token || state == .afterQuoted
  }

  /// Takes the next octet; false if it cannot stand there. CR and LF are for the caller.
  mutating func accept(_ octet: UInt8) -> Bool {
    count &+= 1
    let isWhitespace = RequestParser.isWhitespace(octet)
    switch state {
    case .beforeSemicolon, .afterQuoted:
      if octet == UInt8(ascii: ";") {
        state = .nameStart
      } else if isWhitespace {
        state = .beforeSemicolon
      } else {
        return false
      }
    case .nameStart:
      if Octets.isIn(.token, octet) { state = .name } else { return isWhitespace }
    case .name, .beforeEquals:
      if octet == UInt8(ascii: "=") {
        state = .valueStart
      } else if octet == UInt8(ascii: ";") {
        state = .nameStart
      } else if isWhitespace {
        state = .beforeEquals
      } else {
        return state == .name && Octets.isIn(.token, octet)
      }
    case .valueStart:
      if octet == UInt8(ascii: "\"") {
        state = .quoted
      } else if Octets.isIn(.token, octet) {
        state = .token
      } else {
        return isWhitespace
      }
    case .token:
      if octet == UInt8(ascii: ";") {
        state = .nameStart
      } else if isWhitespace {
        state = .beforeSemicolon
      } else {
        return Octets.isIn(.token, octet)
      }
    case .quoted:
      if octet == UInt8(ascii: "\"") {
        state = .afterQuoted
      } else if octet == UInt8(ascii: "\\") {
        state = .escape
      } else {
        return Octets.isIn(.fieldValue, octet)
      }
    case .escape:
      state = .quoted
      return Octets.isIn(.fieldValue, octet)
    }
    return true
  }
}
