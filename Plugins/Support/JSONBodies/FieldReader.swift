import FoundationEssentials
import PluginAPI

/// Reads fields of a request's JSON object, collecting every error, so that one 422 names them all.
///
/// ```swift
/// var body = try FieldReader(request)
/// let name = body.string("name", required: true, length: 1...100)
/// let count = body.integer("count", range: 1...10)
/// let checkedName = try body.require(name)        // throws the 422, or hands out what is required
/// ```
/// A reading method answers nil if the field is missing, null or unacceptable; the latter, and a required field's
/// absence, is an error that `check` and `require` throw. Fields that are never read are ignored. Use it on the thread
/// that was handed the request.
public struct FieldReader {
  private let body: JSONBody
  /// The errors found so far, in the order of reading.
  public private(set) var errors: [FieldError] = []

  /// Parses the body.
  ///
  /// - Parameter maxBytes: the largest body that is parsed at all.
  /// - Throws: `Problem` 415 if the Content-Type is not `application/json` (or `+json`) in UTF-8, 413 past `maxBytes`,
  ///   400 `malformed-json`, 422 `validation-failed` if the JSON is no object.
  public init(_ request: borrowing Request, maxBytes: Int = 1 << 16) throws {
    body = try JSONBody(request, maxBytes: maxBytes)
  }

  /// Whether the field is present, if only as null: in a PATCH, null clears and absence leaves.
  public func has(_ name: String) -> Bool {
    body.fields.contains(FieldName(name))
  }

  /// Whether the field is present and null.
  public func isNull(_ name: String) -> Bool {
    do {
      return try has(name) && body.fields.decodeNil(forKey: FieldName(name))
    } catch {
      return false
    }
  }

  /// A text. `length` counts Unicode scalars. U+0000 is refused, which databases cannot keep.
  public mutating func string(
    _ name: String, required: Bool = false, length: ClosedRange<Int>? = nil
  ) -> String? {
    guard let text = value(name, String.self, required, "must be a string") else { return nil }
    if let fault = Validation.fault(in: text, length: length) {
      reject(name, fault)
      return nil
    }
    return text
  }

  /// A whole number, also when written `1.0`.
  public mutating func integer(
    _ name: String, required: Bool = false, range: ClosedRange<Int>? = nil
  ) -> Int? {
    guard let number = value(name, Int.self, required, "must be a whole number") else { return nil }
    if let range, !range.contains(number) {
      reject(name, "must be \(Validation.describe(range))")
      return nil
    }
    return number
  }

  /// `true` or `false`.
  public mutating func boolean(_ name: String, required: Bool = false) -> Bool? {
    value(name, Bool.self, required, "must be true or false")
  }

  /// An array of texts.
  ///
  /// - Parameters:
  ///   - count: how many elements it may have.
  ///   - each: the length of each, in Unicode scalars.
  public mutating func strings(
    _ name: String, required: Bool = false, count: ClosedRange<Int>? = nil, each: ClosedRange<Int>? = nil
  ) -> [String]? {
    guard let texts = value(name, [String].self, required, "must be an array of strings") else { return nil }
    if let count, !count.contains(texts.count) {
      reject(name, "must have \(Validation.describe(count)) elements")
      return nil
    }
    let before = errors.count
    for (index, text) in texts.enumerated() {
      if let fault = Validation.fault(in: text, length: each) { reject("\(name)[\(index)]", fault) }
    }
    return errors.count == before ? texts : nil
  }

  /// An object of any shape, no larger than `maxBytes` when encoded again, compactly.
  public mutating func object(
    _ name: String, required: Bool = false, maxBytes: Int
  ) -> [String: JSONValue]? {
    guard let object = value(name, [String: JSONValue].self, required, "must be an object") else {
      return nil
    }
    do {
      if try JSONText.encoder.encode(object).count <= maxBytes { return object }
      reject(name, "must have at most \(maxBytes) bytes")
    } catch {
      reject(name, "must be an object")
    }
    return nil
  }

  /// One of the given texts.
  public mutating func choice(_ name: String, of choices: [String], required: Bool = false) -> String? {
    guard let text = string(name, required: required) else { return nil }
    guard choices.contains(text) else {
      reject(name, "must be one of \(choices.joined(separator: ", "))")
      return nil
    }
    return text
  }

  /// A UUID (RFC 9562) in its 36-character form, in lower case.
  public mutating func uuid(_ name: String, required: Bool = false) -> String? {
    guard let text = string(name, required: required) else { return nil }
    guard let uuid = Identifier.canonical(text) else {
      reject(name, "must be a UUID")
      return nil
    }
    return uuid
  }

  /// Adds an error of the caller's own.
  public mutating func reject(_ field: String, _ message: String) {
    errors.append(FieldError(field: field, message: message))
  }

  /// Goes on only if no field was in error.
  ///
  /// - Throws: `Problem` 422, code `validation-failed`, with `errors: [{"field", "message"}]`.
  public func check() throws {
    if !errors.isEmpty { throw Validation.problem(errors) }
  }

  /// `check`, and hands out the values of required fields, which are then known not to be nil.
  public func require<each Value>(_ values: repeat (each Value)?) throws -> (repeat each Value) {
    try check()
    return (repeat try present(each values))
  }

  private func present<Value>(_ value: Value?) throws -> Value {
    guard let value else { throw Validation.problem([FieldError(field: "", message: "a field is missing")]) }
    return value
  }

  /// Decodes one field; records an error if it is of another type, or missing and required.
  private mutating func value<Value: Decodable>(
    _ name: String, _ type: Value.Type, _ required: Bool, _ expectation: String
  ) -> Value? {
    guard has(name), !isNull(name) else {
      if required { reject(name, has(name) ? "must not be null" : "is required") }
      return nil
    }
    do {
      return try body.fields.decode(type, forKey: FieldName(name))
    } catch {
      // What the decoder says of it names Swift types, and is nothing that a client could use.
      reject(name, expectation)
      return nil
    }
  }
}
