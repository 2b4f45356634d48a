import JSONBodies

/// The JSON of a token's header or payload, read so that no two readers can understand it differently.
enum TokenJSON {
  /// - Throws: `TokenFault.malformed` if it is not one JSON object in UTF-8 (RFC 7519 section 7.2), has a member twice
  ///   (RFC 7515 section 4), or is of another shape.
  static func decode<Part: Decodable>(_ type: Part.Type, _ bytes: [UInt8]) throws(TokenFault) -> Part {
    // The decoder takes UTF-16, UTF-32 and a byte order mark too, none of which begins like this without a NUL; and it looks
    // at the UTF-8 only of what is asked for.
    guard bytes.first == UInt8(ascii: "{"), !bytes.contains(0),
      String(validating: bytes, as: UTF8.self) != nil
    else { throw TokenFault.malformed }
    do {
      let object = try JSONText.decode(Object<Part>.self, from: bytes)
      guard object.memberCount == memberCount(in: bytes) else { throw TokenFault.malformed }
      return object.part
    } catch {
      throw TokenFault.malformed
    }
  }

  /// How many members the outer object has, as they stand in the text; of a text that the decoder has accepted. The decoder
  /// keeps one of those that have the same name, and does not tell. Nil for a comma before a closing bracket, which it lets
  /// pass.
  private static func memberCount(in json: [UInt8]) -> Int? {
    var count = 0
    var depth = 0
    var isInString = false
    var isEscaped = false
    var isAfterComma = false
    for byte in json {
      if isInString {
        if isEscaped {
          isEscaped = false
        } else if byte == UInt8(ascii: "\\") {
          isEscaped = true
        } else if byte == UInt8(ascii: "\"") {
          isInString = false
        }
        continue
      }
      switch byte {
      case UInt8(ascii: "\""): isInString = true
      case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        if isAfterComma { return nil }
        depth -= 1
      case UInt8(ascii: ":") where depth == 1: count += 1
      case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"), UInt8(ascii: "\n"): continue
      default: break
      }
      isAfterComma = byte == UInt8(ascii: ",")
    }
    return count
  }

  /// A value, and how many different names its object has.
  private struct Object<Part: Decodable>: Decodable {
    let part: Part
    let memberCount: Int

    init(from decoder: any Decoder) throws {
      memberCount = try decoder.container(keyedBy: Name.self).allKeys.count
      part = try Part(from: decoder)
    }
  }

  private struct Name: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }
}
