import JSONBodies

/// A schema of JSON Schema 2020-12, as far as this API needs it.
struct JSONSchema: Sendable {
  var members: [String: JSONValue]

  var json: JSONValue { .object(members) }

  private init(_ type: String, _ more: [String: JSONValue?] = [:]) {
    members = more.compactMapValues(\.self)
    members["type"] = .string(type)
  }

  private init(members: [String: JSONValue]) { self.members = members }

  /// - Parameter length: In Unicode scalars, as the server counts.
  static func string(
    length: ClosedRange<Int>? = nil, format: String? = nil, pattern: String? = nil,
    of choices: [String]? = nil
  ) -> JSONSchema {
    JSONSchema(
      "string",
      [
        "minLength": length.flatMap { $0.lowerBound > 0 ? .integer(Int64($0.lowerBound)) : nil },
        "maxLength": length.map { .integer(Int64($0.upperBound)) }, "format": format.map { .string($0) },
        "pattern": pattern.map { .string($0) }, "enum": choices.map { .array($0.map(JSONValue.string)) },
      ])
  }

  static func integer(_ range: ClosedRange<Int>? = nil) -> JSONSchema {
    JSONSchema(
      "integer",
      [
        "minimum": range.map { .integer(Int64($0.lowerBound)) },
        "maximum": range.map { .integer(Int64($0.upperBound)) },
      ])
  }

  /// A whole number from 0 that JSON shows exactly.
  static let count = integer(0...9_007_199_254_740_991)
  static let seconds = JSONSchema("number", ["minimum": .integer(0)])
  static let boolean = JSONSchema("boolean")
  static let uuid = string(format: "uuid")
  /// Of the tokens' users: a UUID if this server's accounts are used.
  static let userID = string(length: 1...255)
  /// RFC 3339, in UTC, with milliseconds.
  static let timestamp = string(
    format: "date-time", pattern: #"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$"#)
  static let date = string(format: "date")
  /// Any members.
  static let anyObject = JSONSchema("object", ["additionalProperties": .bool(true)])

  static func array(of items: JSONSchema, count: ClosedRange<Int>? = nil) -> JSONSchema {
    JSONSchema(
      "array",
      [
        "items": items.json,
        "minItems": count.flatMap { $0.lowerBound > 0 ? .integer(Int64($0.lowerBound)) : nil },
        "maxItems": count.map { .integer(Int64($0.upperBound)) },
      ])
  }

  /// - Parameter optional: The members that may be missing; the others are required.
  static func object(_ properties: [String: JSONSchema], optional: Set<String> = []) -> JSONSchema {
    let required = properties.keys.filter { !optional.contains($0) }.sorted()
    return JSONSchema(
      "object",
      [
        "properties": .object(properties.mapValues(\.json)),
        "required": required.isEmpty ? nil : .array(required.map(JSONValue.string)),
      ])
  }

  /// One of the document's named schemas.
  static func named(_ name: String) -> JSONSchema {
    JSONSchema(members: ["$ref": .string("#/components/schemas/\(name)")])
  }

  static func all(of schemas: [JSONSchema]) -> JSONSchema {
    JSONSchema(members: ["allOf": .array(schemas.map(\.json))])
  }

  /// This, or null.
  var orNull: JSONSchema {
    guard case .string(let type)? = members["type"] else {
      return JSONSchema(members: ["oneOf": .array([json, .object(["type": .string("null")])])])
    }
    var schema = self
    schema.members["type"] = .array([.string(type), .string("null")])
    if case .array(let choices)? = members["enum"] { schema.members["enum"] = .array(choices + [.null]) }
    return schema
  }

  /// Without a type of its own: what `properties` says holds of an object that another schema describes.
  static func refinement(_ properties: [String: JSONSchema], required: [String] = []) -> JSONSchema {
    var members: [String: JSONValue] = ["properties": .object(properties.mapValues(\.json))]
    if !required.isEmpty { members["required"] = .array(required.map(JSONValue.string)) }
    return JSONSchema(members: members)
  }

  func described(_ text: String) -> JSONSchema {
    var schema = self
    schema.members["description"] = .string(text)
    return schema
  }

  func defaulting(to value: JSONValue) -> JSONSchema {
    var schema = self
    schema.members["default"] = value
    return schema
  }
}
