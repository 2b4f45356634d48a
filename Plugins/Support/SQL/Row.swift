/// One row of a result, copied out of the database's own memory: it outlives the statement and the connection.
public struct Row: Sendable {
  let columns: Columns
  let values: [SQLValue]

  /// A row with a value for each column.
  public init(columns: Columns, values: [SQLValue]) {
    self.columns = columns
    self.values = values
  }

  /// How many columns the row has.
  public var count: Int { values.count }

  /// The value of the column at `index`, from 0. An index out of range is a programming error, as in an array.
  public subscript(index: Int) -> SQLValue { values[index] }

  /// The value of the first column of this name, or nil if the result has no such column.
  public subscript(name: String) -> SQLValue? { columns.index(of: name).map { values[$0] } }

  /// The integer in the named column.
  /// - Throws: `DatabaseError` (`invalidValue`) if there is no such column, or it holds something else.
  public func integer(_ name: String) throws(DatabaseError) -> Int64 {
    try value(name, as: "an integer", \.integerValue)
  }
  /// The number in the named column, of an integer or a real. Throws as `integer(_:)`.
  public func real(_ name: String) throws(DatabaseError) -> Double {
    try value(name, as: "a real", \.realValue)
  }
  /// The text in the named column. Throws as `integer(_:)`.
  public func text(_ name: String) throws(DatabaseError) -> String {
    try value(name, as: "text", \.textValue)
  }
  /// The bytes in the named column. Throws as `integer(_:)`.
  public func blob(_ name: String) throws(DatabaseError) -> [UInt8] {
    try value(name, as: "a blob", \.blobValue)
  }
  /// An integer used as a flag: false if 0. Throws as `integer(_:)`.
  public func flag(_ name: String) throws(DatabaseError) -> Bool { try integer(name) != 0 }

  /// As `integer(_:)`, but nil for null.
  public func optionalInteger(_ name: String) throws(DatabaseError) -> Int64? {
    try column(name).isNull ? nil : integer(name)
  }
  /// As `real(_:)`, but nil for null.
  public func optionalReal(_ name: String) throws(DatabaseError) -> Double? {
    try column(name).isNull ? nil : real(name)
  }
  /// As `text(_:)`, but nil for null.
  public func optionalText(_ name: String) throws(DatabaseError) -> String? {
    try column(name).isNull ? nil : text(name)
  }
  /// As `blob(_:)`, but nil for null.
  public func optionalBlob(_ name: String) throws(DatabaseError) -> [UInt8]? {
    try column(name).isNull ? nil : blob(name)
  }

  private func column(_ name: String) throws(DatabaseError) -> SQLValue {
    guard let value = self[name] else {
      throw DatabaseError(.invalidValue, message: "the result has no column \(name)")
    }
    return value
  }

  private func value<T>(
    _ name: String, as wanted: String, _ accessor: (SQLValue) -> T?
  ) throws(DatabaseError) -> T {
    let value = try column(name)
    guard let result = accessor(value) else {
      throw DatabaseError(
        .invalidValue, message: "column \(name) holds \(value.storageClass), not \(wanted)")
    }
    return result
  }
}

/// The names of a result's columns, shared by its rows.
public final class Columns: Sendable {
  let names: [String]

  public init(_ names: [String]) { self.names = names }

  // Results have few columns: a scan beats hashing.
  func index(of name: String) -> Int? { names.firstIndex(of: name) }
}
