/// One value of a column or a parameter: SQLite's five storage classes, to which PostgreSQL's types are reduced.
///
/// Literals read as SQL would: `run("…", [1, "text", nil])`.
public enum SQLValue: Sendable, Equatable {
  case null
  case integer(Int64)
  case real(Double)
  case text(String)
  case blob([UInt8])

  /// Text, or null.
  public init(_ text: String?) { self = text.map(SQLValue.text) ?? .null }
  /// An integer, or null.
  public init(_ integer: Int64?) { self = integer.map(SQLValue.integer) ?? .null }
  /// An integer.
  public init(_ integer: Int) { self = .integer(Int64(integer)) }
  /// 1 or 0: the schemas have no booleans, since SQLite has none.
  public init(_ flag: Bool) { self = .integer(flag ? 1 : 0) }

  /// The integer; nil for any other class. No conversion is made.
  public var integerValue: Int64? { if case .integer(let value) = self { value } else { nil } }
  /// The number of an integer or a real; nil for any other class.
  public var realValue: Double? {
    switch self {
    case .real(let value): value
    case .integer(let value): Double(value)
    default: nil
    }
  }
  /// The text; nil for any other class.
  public var textValue: String? { if case .text(let value) = self { value } else { nil } }
  /// The bytes of a blob; nil for any other class.
  public var blobValue: [UInt8]? { if case .blob(let value) = self { value } else { nil } }
  /// True for null.
  public var isNull: Bool { self == .null }

  /// What the value is, for messages: never the value itself.
  public var storageClass: String {
    switch self {
    case .null: "null"
    case .integer: "an integer"
    case .real: "a real"
    case .text: "text"
    case .blob: "a blob"
    }
  }
}

extension SQLValue: ExpressibleByNilLiteral, ExpressibleByIntegerLiteral, ExpressibleByStringLiteral,
  ExpressibleByFloatLiteral
{
  public init(nilLiteral: ()) { self = .null }
  public init(integerLiteral value: Int64) { self = .integer(value) }
  public init(stringLiteral value: String) { self = .text(value) }
  public init(floatLiteral value: Double) { self = .real(value) }
}
