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
    self.init(body: try JSONBody(request, maxBytes: maxBytes))
  }

  private init(body: JSONBody) {
    self.body = body
  }

  /// Whether the field is present, if only as null: in a PATCH, null clears and absence leaves.
  public func has(_ name: String) -> Bool {
    body.member(name) != nil
  }

  /// Whether the field is present and null.
  public func isNull(_ name: String) -> Bool {
    body.member(name)?.kind == .null
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
    // Counted before they are made.
    if let count, let array = body.member(name), array.kind == .array, !count.contains(array.count) {
      reject(name, "must have \(Validation.describe(count)) elements")
      return nil
    }
    guard let texts = value(name, [String].self, required, "must be an array of strings") else { return nil }
    let before = errors.count
    for (index, text) in texts.enumerated() {
      if let fault = Validation.fault(in: text, length: each) { reject("\(name)[\(index)]", fault) }
    }
    return errors.count == before ? texts : nil
  }

  /// How deep arrays and objects may be nested in an object of any shape, itself included.
  public static let maximumDepth = 64

  /// An object of any shape, nested at most `maximumDepth` deep, and no larger than `maxBytes` without the white space
  /// between its tokens: its text.
  public mutating func object(_ name: String, required: Bool = false, maxBytes: Int) -> JSONFragment? {
    guard let member = member(name, required) else { return nil }
    guard member.kind == .object else {
      reject(name, "must be an object")
      return nil
    }
    guard member.depth <= Self.maximumDepth else {
      reject(name, "must be nested at most \(Self.maximumDepth) deep")
      return nil
    }
    let text = body.compact(member)
    guard text.text.utf8.count <= maxBytes else {
      reject(name, "must have at most \(maxBytes) bytes")
      return nil
    }
    return text
  }

  /// Reads the fields of an object within this one: `read` gets its reader, and what it finds wrong with `width` is named
  /// `parameters.width`. It is not called if the field is missing, null or unacceptable. As `object` otherwise.
  public mutating func fields(
    of name: String, required: Bool = false, maxBytes: Int, _ read: (inout FieldReader) -> Void
  ) {
    guard let object = object(name, required: required, maxBytes: maxBytes) else { return }
    do {
      var reader = FieldReader(body: try JSONBody(object))
      read(&reader)
      for error in reader.errors { reject("\(name).\(error.field)", error.message) }
    } catch {
      reject(name, "must be an object")
    }
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
  public mutating func check() throws {
    if !errors.isEmpty { throw Validation.problem(errors) }
  }

  /// `check`, and hands out the values of required fields, which are then known not to be nil.
  ///
  /// It and `check` are mutating so that fields can be read in the call's own parentheses: of a reader that is only
  /// borrowed a copy would be made first, and what they find wrong would be lost with the original's.
  public mutating func require<each Value>(_ values: repeat (each Value)?) throws -> (repeat each Value) {
    try check()
    return (repeat try present(each values))
  }

  private func present<Value>(_ value: Value?) throws -> Value {
    guard let value else { throw Validation.problem([FieldError(field: "", message: "a field is missing")]) }
    return value
  }

  /// One field that is there; records an error if it is not, and required.
  private mutating func member(_ name: String, _ required: Bool) -> JSONOutline.Member? {
    guard let member = body.member(name) else {
      if required { reject(name, "is required") }
      return nil
    }
    guard member.kind != .null else {
      if required { reject(name, "must not be null") }
      return nil
    }
    return member
  }

  /// Decodes one field; records an error if it is of another type, or missing and required.
  private mutating func value<Value: Decodable>(
    _ name: String, _ type: Value.Type, _ required: Bool, _ expectation: String
  ) -> Value? {
    guard let member = member(name, required) else { return nil }
    do {
      return try body.decode(type, member)
    } catch {
      // What the decoder says of it names Swift types, and is nothing that a client could use.
      reject(name, expectation)
      return nil
    }
  }
}
