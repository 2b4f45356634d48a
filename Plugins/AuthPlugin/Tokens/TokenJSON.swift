import JSONBodies

/// The JSON of a token's header or payload, read so that no two readers can understand it differently.
enum TokenJSON {
  /// - Throws: `TokenFault.malformed` if it is not one JSON object in UTF-8 (RFC 7519 section 7.2), has a member twice
  ///   (RFC 7515 section 4), or is of another shape.
  static func decode<Part: Decodable>(_ type: Part.Type, _ bytes: [UInt8]) throws(TokenFault) -> Part {
    do {
      let outline = try JSONOutline(bytes)
      let names = try outline.names()
      guard outline.kind == .object, Set(names).count == names.count else { throw TokenFault.malformed }
      return try JSONText.decode(type, from: bytes)
    } catch {
      throw TokenFault.malformed
    }
  }
}
