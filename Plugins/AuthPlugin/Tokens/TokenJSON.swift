import JSONBodies

/// The JSON of a token's header or payload, read so that no two readers can understand it differently.
enum TokenJSON {
  /// - Throws: `TokenFault.malformed` if it is not one JSON object in UTF-8 (RFC 7519 section 7.2), has a member twice
  ///   (RFC 7515 section 4), or is of another shape.
  static func decode<Part: Decodable>(_ type: Part.Type, _ bytes: [UInt8]) throws(TokenFault) -> Part {
    // The decoder takes UTF-16, UTF-32 and a byte order mark too, none of which begins like this without a NUL; and it looks
    // at the UTF-8 only of what is asked for.
    guard bytes.first == UInt8(ascii: "{"), !bytes.contains(0) else { throw TokenFault.malformed }
    do {
      _ = try UTF8Span(validating: bytes.span)
      let part = try JSONText.decode(type, from: bytes)
      guard try hasDistinctMembers(bytes) else { throw TokenFault.malformed }
      return part
    } catch {
      throw TokenFault.malformed
    }
  }

  /// Whether no member of the outer object is there twice, and no comma stands before a closing bracket, which the decoder
  /// lets pass.
  ///
  /// - Parameter json: a text that the decoder has accepted.
  private static func hasDistinctMembers(_ json: [UInt8]) throws -> Bool {
    guard let members = Members(json) else { return false }
    // Names that are not plain are compared as the decoder does, which keeps one of those that are equal, and does not tell.
    return try members.areDistinct
      ?? (JSONText.decode(DifferentNames.self, from: json).count == members.count)
  }

  /// The members of the outer object, as they stand in the text.
  private struct Members {
    private(set) var count = 0
    /// Nil if that cannot be told from the bytes: there are many, or names with escapes or beyond ASCII.
    private(set) var areDistinct: Bool? = true
    /// Of the first few.
    private var names: [Range<Int>] = []
    private static let comparedCount = 16

    /// Nil for a comma before a closing bracket.
    init?(_ json: [UInt8]) {
      names.reserveCapacity(Self.comparedCount)
      var depth = 0
      var isAfterComma = false
      // Of the string that was last.
      var name = 0..<0
      var isPlain = true
      var index = 0
      while index < json.count {
        let byte = json[index]
        index += 1
        switch byte {
        case UInt8(ascii: "\""):
          let start = index
          isPlain = Self.skipString(json, &index)
          name = start..<index - 1
        case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
        case UInt8(ascii: "}"), UInt8(ascii: "]"):
          if isAfterComma { return nil }
          depth -= 1
        case UInt8(ascii: ":") where depth == 1: add(name, isPlain, json)
        case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"), UInt8(ascii: "\n"): continue
        default: break
        }
        isAfterComma = byte == UInt8(ascii: ",")
      }
    }

    /// Goes from within a string to behind it. Whether it is ASCII without escapes.
    private static func skipString(_ json: [UInt8], _ index: inout Int) -> Bool {
      var isPlain = true
      while index < json.count {
        let byte = json[index]
        index += 1
        if byte == UInt8(ascii: "\"") { break }
        if byte == UInt8(ascii: "\\") {
          isPlain = false
          index += 1
        } else if byte >= 0x80 {
          isPlain = false
        }
      }
      return isPlain
    }

    private mutating func add(_ name: Range<Int>, _ isPlain: Bool, _ json: [UInt8]) {
      count += 1
      guard areDistinct == true else { return }
      guard isPlain, names.count < Self.comparedCount else {
        areDistinct = nil
        return
      }
      if names.contains(where: { $0.count == name.count && json[$0].elementsEqual(json[name]) }) {
        areDistinct = false
      }
      names.append(name)
    }
  }

  /// How many different names an object has.
  private struct DifferentNames: Decodable {
    let count: Int

    init(from decoder: any Decoder) throws {
      count = try decoder.container(keyedBy: Name.self).allKeys.count
    }
  }

  private struct Name: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }
}
