import CPostgreSQL
import SQL

// Unsafe memory: the pointers lead into `bytes`, which outlives the call that they are for.

/// Values on their way to the server: numbers and text as text, bytes as they are.
struct Parameters {
  /// PostgreSQL's numbers for the types; 0 for null, which is of the type that the statement wants.
  private(set) var types: [Oid] = []
  private var bytes: [UInt8] = []
  /// Where each value begins in `bytes`; nil for null.
  private var offsets: [Int?] = []
  private var lengths: [CInt] = []
  private var formats: [CInt] = []

  /// - Throws: `DatabaseError` (`invalidValue`) for text with a NUL, which PostgreSQL cannot hold.
  init(_ values: [SQLValue]) throws(DatabaseError) {
    for value in values {
      switch value {
      case .null:
        types.append(0)
        offsets.append(nil)
        lengths.append(0)
        formats.append(0)
      case .integer(let integer): append("\(integer)".utf8, type: TypeNumber.int8)
      case .real(let real): append("\(real)".utf8, type: TypeNumber.float8)
      case .text(let text):
        guard !text.utf8.contains(0) else {
          throw DatabaseError(.invalidValue, code: "22021", message: "the text has a NUL character")
        }
        append(text.utf8, type: TypeNumber.text)
      case .blob(let blob): append(blob, type: TypeNumber.bytea, isBinary: true)
      }
    }
  }

  private mutating func append(_ value: some Collection<UInt8>, type: Oid, isBinary: Bool = false) {
    types.append(type)
    offsets.append(bytes.count)
    lengths.append(CInt(value.count))
    formats.append(isBinary ? 1 : 0)
    bytes += value
    bytes.append(0)
  }

  /// Count, values, lengths and formats, as libpq takes them.
  func withPointers<R>(
    _ body: (CInt, LibPQ.Texts?, UnsafePointer<CInt>?, UnsafePointer<CInt>?) -> R
  ) -> R {
    bytes.withUnsafeBytes { bytes in
      let start = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
      let values: [LibPQ.Text?] = offsets.map { offset in
        guard let offset, let start else { return nil }
        return UnsafePointer(start + offset)
      }
      return values.withUnsafeBufferPointer { body(CInt(values.count), $0.baseAddress, lengths, formats) }
    }
  }
}

/// PostgreSQL's numbers of its built-in types, which never change: src/include/catalog/pg_type.dat.
enum TypeNumber {
  static let bool: Oid = 16
  static let bytea: Oid = 17
  static let int8: Oid = 20
  static let int2: Oid = 21
  static let int4: Oid = 23
  static let text: Oid = 25
  static let float4: Oid = 700
  static let float8: Oid = 701
  static let numeric: Oid = 1700
}
