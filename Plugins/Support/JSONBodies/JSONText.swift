import FoundationEssentials
import PluginAPI

/// How JSON is written here: keys sorted, so that equal values are equal bytes, and slashes left alone.
public enum JSONText {
  /// Immutable once configured, and so shared by all threads.
  static let encoder: JSONEncoder = {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return encoder
  }()

  private static let decoder = JSONDecoder()

  /// The JSON text of a value, compact.
  ///
  /// - Throws: `EncodingError`, as for a number that is infinite.
  public static func encode(_ value: some Encodable) throws -> String {
    String(decoding: try encoder.encode(value), as: UTF8.self)
  }

  /// The value of a JSON text, such as `encode` made.
  ///
  /// - Throws: `DecodingError` if the text is malformed or of another shape.
  public static func decode<Value: Decodable>(_ type: Value.Type, from text: String) throws -> Value {
    try decoder.decode(type, from: Data(text.utf8))
  }

  /// The value of JSON in bytes; malformed UTF-8 is an error too.
  ///
  /// - Throws: `DecodingError` if the text is malformed or of another shape.
  public static func decode<Value: Decodable>(
    _ type: Value.Type, from bytes: some Sequence<UInt8>
  ) throws -> Value {
    try decoder.decode(type, from: Data(bytes))
  }
}

/// A property that is encoded as `null` when nil, where a synthesised `encode(to:)` would leave an optional's key away.
@propertyWrapper
public struct ExplicitNull<Value: Encodable>: Encodable {
  public var wrappedValue: Value?

  public init(wrappedValue: Value?) {
    self.wrappedValue = wrappedValue
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if let wrappedValue {
      try container.encode(wrappedValue)
    } else {
      try container.encodeNil()
    }
  }
}

extension ExplicitNull: Sendable where Value: Sendable {}
extension ExplicitNull: Equatable where Value: Equatable {}

extension Response {
  /// A JSON response: keys exactly as the type names them (snake_case by its `CodingKeys`), null where the type says
  /// so (`@ExplicitNull`). Text that is JSON already goes through the SDK's `json(_: String)`, which is preferred.
  ///
  /// - Throws: `EncodingError`, as for a number that is infinite.
  public static func json(
    _ value: some Encodable, status: Int = 200, headers: [(name: String, value: String)] = []
  ) throws -> Response {
    Response(
      status: status, headers: [(name: "Content-Type", value: "application/json")] + headers,
      body: .text(try JSONText.encode(value)))
  }
}
