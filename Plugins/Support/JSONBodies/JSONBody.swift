import PluginAPI

/// The top level of a JSON object: what its members are, each of which is decoded when it is asked for, so that fields
/// which nobody reads cost no decoding.
struct JSONBody {
  private let outline: JSONOutline
  private let names: [String]

  /// Parses the body of a request.
  ///
  /// - Throws: `Problem` 415 if the media type is not JSON, 413 past `maxBytes`, 400 if the JSON is malformed, 422 if
  ///   it is no object.
  init(_ request: borrowing Request, maxBytes: Int) throws {
    guard let contentType = request.headers["content-type"], MediaType.isJSON(contentType) else {
      throw Problem(
        status: 415, code: "unsupported-media-type", detail: "The body must be application/json in UTF-8.",
        headers: [("Accept", "application/json")])
    }
    guard request.bodyCount <= maxBytes else {
      throw Problem(
        status: 413, code: "body-too-large", detail: "The body may have at most \(maxBytes) bytes here.")
    }
    do {
      outline = try JSONOutline(request.withBody { [UInt8]($0) })
    } catch {
      throw Problem.badRequest("The body is not valid JSON (RFC 8259) in UTF-8.", code: "malformed-json")
    }
    guard outline.kind == .object else {
      throw Validation.problem([FieldError(field: "", message: "the body must be a JSON object")])
    }
    names = try outline.names()
  }

  /// - Throws: as `JSONOutline`, not for a fragment.
  init(_ object: JSONFragment) throws {
    outline = try JSONOutline([UInt8](object.text.utf8))
    names = try outline.names()
  }

  /// The member with a name, the last if there are several; nil if there is none.
  func member(_ name: String) -> JSONOutline.Member? {
    names.lastIndex { $0.utf8.elementsEqual(name.utf8) }.map { outline.members[$0] }
  }

  /// - Throws: `DecodingError` if the value is of another type.
  func decode<Value: Decodable>(_ type: Value.Type, _ member: JSONOutline.Member) throws -> Value {
    try JSONText.decode(type, from: outline.bytes[member.value])
  }

  /// The value's text.
  func compact(_ member: JSONOutline.Member) -> JSONFragment { outline.compact(member.value) }
}

/// Media types of bodies (RFC 9110 section 8.3).
enum MediaType {
  /// True for `application/json` and `application/*+json` (RFC 6839), with no charset but UTF-8.
  static func isJSON(_ contentType: String) -> Bool {
    let parts = contentType.lowercased().split(separator: ";", omittingEmptySubsequences: false)
      .map { $0.trimming(while: { $0 == " " || $0 == "\t" }) }
    guard let essence = parts.first, essence.hasPrefix("application/") else { return false }
    guard essence == "application/json" || essence.hasSuffix("+json") else { return false }
    return parts.dropFirst().allSatisfy { parameter in
      guard parameter.hasPrefix("charset=") else { return true }
      let charset = parameter.dropFirst("charset=".count).trimming(while: { $0 == "\"" })
      return charset == "utf-8" || charset == "utf8"
    }
  }
}

extension StringProtocol {
  /// Without the characters at both ends for which `isEdge` holds.
  func trimming(while isEdge: (Character) -> Bool) -> String {
    let start = self.drop(while: isEdge)
    guard let last = start.lastIndex(where: { !isEdge($0) }) else { return "" }
    return String(start[...last])
  }
}
