import Foundation

/// JSON of any shape, for tests to look into: `answer.json["plugins"]["auth", by: "name"]["state"].string`.
///
/// A member or index that is not there is `.null`, so that a chain of look-ups needs no unwrapping.
public enum JSONValue: Sendable, Equatable, Decodable {
  case null
  case boolean(Bool)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])

  /// - Throws: `DecodingError` if `bytes` is no JSON.
  public init(parsing bytes: some Sequence<UInt8>) throws {
    self = try JSONDecoder().decode(JSONValue.self, from: Data(bytes))
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let value = try? container.decode(Bool.self) {  // lint: allow, the next type is tried
      self = .boolean(value)
    } else if let value = try? container.decode(Double.self) {  // lint: allow, the next type is tried
      self = .number(value)
    } else if let value = try? container.decode(String.self) {  // lint: allow, the next type is tried
      self = .string(value)
    } else if let value = try? container.decode([JSONValue].self) {  // lint: allow, the next type is tried
      self = .array(value)
    } else {
      self = .object(try container.decode([String: JSONValue].self))
    }
  }

  public subscript(name: String) -> JSONValue {
    if case .object(let members) = self { members[name] ?? .null } else { .null }
  }
  public subscript(index: Int) -> JSONValue {
    if case .array(let items) = self, items.indices.contains(index) { items[index] } else { .null }
  }
  /// The first object in an array whose member `key` is the string `value`.
  public subscript(value: String, by key: String) -> JSONValue {
    array.first { $0[key].string == value } ?? .null
  }

  public var string: String? { if case .string(let value) = self { value } else { nil } }
  public var number: Double? { if case .number(let value) = self { value } else { nil } }
  public var int: Int? { number.flatMap { Int(exactly: $0) } }
  public var bool: Bool? { if case .boolean(let value) = self { value } else { nil } }
  /// The items; none if this is no array.
  public var array: [JSONValue] { if case .array(let items) = self { items } else { [] } }
  /// The members; none if this is no object.
  public var object: [String: JSONValue] { if case .object(let members) = self { members } else { [:] } }
}

extension JSONValue: CustomStringConvertible {
  /// Compact JSON, members by name: for the text of a failure.
  public var description: String {
    switch self {
    case .null: "null"
    case .boolean(let value): "\(value)"
    case .number(let value): Int(exactly: value).map { "\($0)" } ?? "\(value)"
    case .string(let value): value.debugDescription
    case .array(let items): "[\(items.map(\.description).joined(separator: ","))]"
    case .object(let members):
      "{\(members.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value)" }.joined(separator: ","))}"
    }
  }
}
