import FoundationEssentials
import PluginAPI

/// What is wrong with one field of a request.
public struct FieldError: Sendable, Equatable, Encodable {
  /// The field's name as the client wrote it; "" for the body as a whole, `tags[3]` for an element.
  public let field: String
  /// What is wrong, for the client's developer: "is required", "must have 1 to 100 characters".
  public let message: String

  public init(field: String, message: String) {
    self.field = field
    self.message = message
  }
}

/// Refusals of well-formed requests with unacceptable fields.
public enum Validation {
  /// The 422 that names every error.
  public static func problem(_ errors: [FieldError]) -> any Error {
    do {
      let encoded = String(decoding: try JSONText.encoder.encode(errors), as: UTF8.self)
      return Problem(
        status: 422, code: "validation-failed", detail: "Some fields are not acceptable; see errors.",
        members: "\"errors\":" + encoded)
    } catch {
      return error
    }
  }

  /// "1 to 100", "at most 100" or "at least 1", for messages.
  static func describe(_ range: ClosedRange<Int>) -> String {
    if range.lowerBound == range.upperBound { return "\(range.lowerBound)" }
    if range.upperBound == .max { return "at least \(range.lowerBound)" }
    if range.lowerBound <= 0 { return "at most \(range.upperBound)" }
    return "\(range.lowerBound) to \(range.upperBound)"
  }

  /// What is wrong with a text; nil: nothing. Lengths count Unicode scalars, as PostgreSQL's `char_length` does and
  /// whatever the version of Unicode.
  static func fault(in text: String, length: ClosedRange<Int>?) -> String? {
    if text.utf8.contains(0) { return "must not contain U+0000" }
    if let length, !length.contains(text.unicodeScalars.count) {
      return "must have \(describe(length)) characters"
    }
    return nil
  }
}
