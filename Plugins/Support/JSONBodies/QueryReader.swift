import PluginAPI

/// Reads query parameters, collecting every error, so that one 422 names them all.
///
/// Of a repeated parameter the first counts; unknown ones are ignored. Use it on the thread that was handed the request.
public struct QueryReader {
  private let parameters: [(name: String, value: String)]
  /// The errors found so far, in the order of reading.
  public private(set) var errors: [FieldError] = []

  public init(_ request: borrowing Request) {
    parameters = request.queryParameters.map { (name: $0.0, value: $0.1) }
  }

  /// Whether the parameter is there, if only empty.
  public func has(_ name: String) -> Bool {
    raw(name) != nil
  }

  /// A text. `length` counts Unicode scalars.
  public mutating func string(_ name: String, length: ClosedRange<Int>? = nil) -> String? {
    guard let text = raw(name) else { return nil }
    if let fault = Validation.fault(in: text, length: length) {
      reject(name, fault)
      return nil
    }
    return text
  }

  /// A whole number in decimal; `default` if the parameter is missing or unacceptable.
  public mutating func integer(_ name: String, default: Int, range: ClosedRange<Int>) -> Int {
    guard let text = raw(name) else { return `default` }
    guard let number = Int(text), range.contains(number) else {
      reject(name, "must be a whole number, \(Validation.describe(range))")
      return `default`
    }
    return number
  }

  /// `true` or `false`.
  public mutating func boolean(_ name: String) -> Bool? {
    switch raw(name) {
    case nil: return nil
    case "true": return true
    case "false": return false
    default:
      reject(name, "must be true or false")
      return nil
    }
  }

  /// One of the given texts.
  public mutating func choice(_ name: String, of choices: [String]) -> String? {
    guard let text = raw(name) else { return nil }
    guard choices.contains(text) else {
      reject(name, "must be one of \(choices.joined(separator: ", "))")
      return nil
    }
    return text
  }

  /// A UUID (RFC 9562) in its 36-character form, in lower case.
  public mutating func uuid(_ name: String) -> String? {
    guard let text = raw(name) else { return nil }
    guard let uuid = Identifier.canonical(text) else {
      reject(name, "must be a UUID")
      return nil
    }
    return uuid
  }

  /// The `page` (from 1) and `per_page` (1...100, default 20) of a list.
  public mutating func page() -> PageRequest {
    PageRequest(
      page: integer("page", default: 1, range: 1...PageRequest.maximumPage),
      perPage: integer("per_page", default: 20, range: 1...100))
  }

  /// Adds an error of the caller's own.
  public mutating func reject(_ field: String, _ message: String) {
    errors.append(FieldError(field: field, message: message))
  }

  /// Goes on only if no parameter was in error.
  ///
  /// - Throws: `Problem` 422, code `validation-failed`, with `errors: [{"field", "message"}]`.
  public func check() throws {
    if !errors.isEmpty { throw Validation.problem(errors) }
  }

  private func raw(_ name: String) -> String? {
    parameters.first(where: { $0.name == name })?.value
  }
}
