/// Any JSON value (RFC 8259), for the fields whose shape a client chooses.
///
/// A number without a fraction that fits 64 bits is `integer`, also when written `1.0`; any other is `number`.
public indirect enum JSONValue: Sendable, Equatable, Codable {
  case null
  case bool(Bool)
  case integer(Int64)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])

  /// How deep arrays and objects may be nested: recursion below here is bounded by it.
  public static let maximumDepth = 64

  /// Decodes any value.
  ///
  /// - Throws: `DecodingError` if it is nested deeper than `maximumDepth`, or a number fits no `Double`.
  public init(from decoder: any Decoder) throws {
    guard decoder.codingPath.count <= Self.maximumDepth else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: [], debugDescription: "nested deeper than \(Self.maximumDepth)"))
    }
    let container = try decoder.singleValueContainer()
    // A decoder tells a value's type only by failing to decode it as another, so a mismatch is no error here.
    if container.decodeNil() {
      self = .null
    } else if let string = try Self.unlessMismatched({ try container.decode(String.self) }) {
      self = .string(string)
    } else if let object = try Self.unlessMismatched({ try container.decode([String: JSONValue].self) }) {
      self = .object(object)
    } else if let array = try Self.unlessMismatched({ try container.decode([JSONValue].self) }) {
      self = .array(array)
    } else if let bool = try Self.unlessMismatched({ try container.decode(Bool.self) }) {
      self = .bool(bool)
    } else if let integer = Self.integer(in: container) {
      self = .integer(integer)
    } else {
      self = .number(try container.decode(Double.self))
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .null: try container.encodeNil()
    case .bool(let bool): try container.encode(bool)
    case .integer(let integer): try container.encode(integer)
    case .number(let number): try container.encode(number)
    case .string(let string): try container.encode(string)
    case .array(let array): try container.encode(array)
    case .object(let object): try container.encode(object)
    }
  }

  /// The value, or nil if the JSON there is of another type. Errors inside a value of the right type are thrown on:
  /// a mismatch further down says so in its coding path, and cannot happen, since every value decodes.
  private static func unlessMismatched<Value>(_ decode: () throws -> Value) throws -> Value? {
    do {
      return try decode()
    } catch DecodingError.typeMismatch {
      return nil
    }
  }

  /// The number as an integer; nil if it has a fraction or is out of range, which decoders report as corrupt data.
  private static func integer(in container: any SingleValueDecodingContainer) -> Int64? {
    do {
      return try container.decode(Int64.self)
    } catch {
      return nil
    }
  }
}
