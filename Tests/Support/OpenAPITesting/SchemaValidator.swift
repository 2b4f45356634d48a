import Foundation
import PluginTesting

/// Holds values against schemas of JSON Schema 2020-12, as far as the API's description uses it.
///
/// A keyword that it does not know is an error, and never passed over.
public struct SchemaValidator: Sendable {
  /// Says nothing of values.
  static let annotations: Set<String> = [
    "description", "title", "default", "examples", "deprecated", "readOnly",
  ]
  /// The other keywords that are known.
  static let keywords: Set<String> = [
    "$ref", "type", "enum", "const", "allOf", "anyOf", "oneOf", "properties", "required",
    "additionalProperties",
    "items", "minItems", "maxItems", "uniqueItems", "minLength", "maxLength", "pattern", "format", "minimum",
    "maximum",
  ]

  private let document: JSONValue
  private let isClosed: Bool

  /// - Parameters:
  ///   - document: What references are looked up in.
  ///   - isClosed: Members that an object's schema does not name are errors, unless it says `additionalProperties`:
  ///     a description must not lack what the server sends.
  public init(document: JSONValue, isClosed: Bool) {
    self.document = document
    self.isClosed = isClosed
  }

  /// What is wrong with a value, one line each; empty if nothing is.
  public func errors(_ value: JSONValue, _ schema: JSONValue, at path: String = "$") -> [String] {
    if case .boolean(let isAny) = schema { return isAny ? [] : ["\(path): nothing is allowed here"] }
    guard case .object(let rules) = schema else { return ["\(path): the schema is no object"] }
    let unknown = rules.keys.filter { !Self.keywords.contains($0) && !Self.annotations.contains($0) }
    var errors = unknown.map { "\(path): the keyword \($0) is not known" }
    if let reference = rules["$ref"]?.string {
      guard let target = document.resolve(reference) else { return errors + ["\(path): no \(reference)"] }
      errors += self.errors(value, target, at: path)
    }
    errors += choiceErrors(value, rules, path) + combinationErrors(value, rules, path)
    switch value {
    case .number(let number): errors += numberErrors(number, rules, path)
    case .string(let text): errors += stringErrors(text, rules, path)
    case .array(let items): errors += arrayErrors(items, rules, path)
    case .object(let members): errors += objectErrors(members, rules, path)
    case .null, .boolean: break
    }
    return errors
  }

  private func choiceErrors(_ value: JSONValue, _ rules: [String: JSONValue], _ path: String) -> [String] {
    var errors: [String] = []
    if let type = rules["type"] {
      let types = type.string.map { [$0] } ?? type.array.compactMap(\.string)
      if !types.contains(where: { value.isOf(type: $0) }) {
        errors.append("\(path): \(value.shortened) is no \(types.joined(separator: " or "))")
      }
    }
    if let choices = rules["enum"], !choices.array.contains(value) {
      errors.append("\(path): \(value.shortened) is none of \(choices)")
    }
    if let constant = rules["const"], constant != value {
      errors.append("\(path): \(value.shortened) is not \(constant)")
    }
    return errors
  }

  private func combinationErrors(
    _ value: JSONValue, _ rules: [String: JSONValue], _ path: String
  ) -> [String] {
    var errors = (rules["allOf"]?.array ?? []).flatMap { self.errors(value, $0, at: path) }
    if let choices = rules["anyOf"]?.array {
      let all = choices.map { self.errors(value, $0, at: path) }
      if !all.contains([]) { errors.append("\(path): matches none of anyOf: \(all)") }
    }
    if let choices = rules["oneOf"]?.array {
      let all = choices.map { self.errors(value, $0, at: path) }
      let matching = all.count { $0.isEmpty }
      if matching != 1 { errors.append("\(path): matches \(matching) of oneOf: \(all)") }
    }
    return errors
  }

  private func numberErrors(_ number: Double, _ rules: [String: JSONValue], _ path: String) -> [String] {
    var errors: [String] = []
    if let minimum = rules["minimum"]?.number, number < minimum {
      errors.append("\(path): \(number) is below \(minimum)")
    }
    if let maximum = rules["maximum"]?.number, number > maximum {
      errors.append("\(path): \(number) is above \(maximum)")
    }
    return errors
  }

  private func stringErrors(_ text: String, _ rules: [String: JSONValue], _ path: String) -> [String] {
    var errors: [String] = []
    let count = text.unicodeScalars.count
    if let least = rules["minLength"]?.int, count < least { errors.append("\(path): shorter than \(least)") }
    if let most = rules["maxLength"]?.int, count > most { errors.append("\(path): longer than \(most)") }
    if let pattern = rules["pattern"]?.string, text.range(of: pattern, options: .regularExpression) == nil {
      errors.append("\(path): '\(text.prefix(80))' does not match \(pattern)")
    }
    if let format = rules["format"]?.string {
      switch Format.isValid(text, as: format) {
      case true?: break
      case false?: errors.append("\(path): '\(text.prefix(80))' is no \(format)")
      case nil: errors.append("\(path): the format \(format) is not known")
      }
    }
    return errors
  }

  private func arrayErrors(_ items: [JSONValue], _ rules: [String: JSONValue], _ path: String) -> [String] {
    var errors: [String] = []
    if let least = rules["minItems"]?.int, items.count < least {
      errors.append("\(path): under \(least) items")
    }
    if let most = rules["maxItems"]?.int, items.count > most { errors.append("\(path): over \(most) items") }
    if rules["uniqueItems"]?.bool == true {
      for (index, item) in items.enumerated() where items[..<index].contains(item) {
        errors.append("\(path)[\(index)]: is there twice")
      }
    }
    if let schema = rules["items"] {
      for (index, item) in items.enumerated() { errors += self.errors(item, schema, at: "\(path)[\(index)]") }
    }
    return errors
  }

  private func objectErrors(
    _ members: [String: JSONValue], _ rules: [String: JSONValue], _ path: String
  ) -> [String] {
    let properties = rules["properties"]?.object ?? [:]
    var errors = (rules["required"]?.array ?? []).compactMap(\.string).filter { members[$0] == nil }
      .map { "\(path): lacks \($0)" }
    // A schema without a type refines another, and does not list all members.
    let describesWhole = rules["type"] != nil
    for (name, value) in members.sorted(by: { $0.key < $1.key }) {
      if let schema = properties[name] {
        errors += self.errors(value, schema, at: "\(path).\(name)")
      } else if let schema = rules["additionalProperties"] {
        errors += self.errors(value, schema, at: "\(path).\(name)")
      } else if isClosed, describesWhole {
        errors.append("\(path): \(name) is not described")
      }
    }
    return errors
  }
}

extension JSONValue {
  func isOf(type: String) -> Bool {
    switch (self, type) {
    case (.null, "null"), (.boolean, "boolean"), (.number, "number"), (.string, "string"), (.array, "array"),
      (.object, "object"):
      true
    case (.number(let number), "integer"): number == number.rounded()
    default: false
    }
  }

  var shortened: String { String(description.prefix(120)) }
}
