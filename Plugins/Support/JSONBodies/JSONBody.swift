import FoundationEssentials
import PluginAPI

/// The top level of a request's JSON body: an object whose fields are decoded when they are asked for, so that
/// fields which nobody reads cost no decoding.
struct JSONBody: Decodable {
  let fields: KeyedDecodingContainer<FieldName>

  init(from decoder: any Decoder) throws {
    fields = try decoder.container(keyedBy: FieldName.self)
  }

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
    guard let text = request.body else { throw Self.malformed("The body is not UTF-8.") }
    do {
      self = try Self.decoder.decode(JSONBody.self, from: Data(text.utf8))
    } catch DecodingError.typeMismatch, DecodingError.valueNotFound {
      throw Validation.problem([FieldError(field: "", message: "the body must be a JSON object")])
    } catch {
      throw Self.malformed("The body is not valid JSON (RFC 8259).")
    }
  }

  /// Immutable once configured, and so shared by all threads.
  private static let decoder = JSONDecoder()

  private static func malformed(_ detail: String) -> Problem {
    Problem(status: 400, code: "malformed-json", detail: detail)
  }
}

/// Any field name.
struct FieldName: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }

  init(_ name: String) { stringValue = name }
  init?(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
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
