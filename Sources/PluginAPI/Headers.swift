import PluginABI

/// A request's header fields, in the order received; names are compared without case (RFC 9110 section 5.1).
///
/// Lent with the request, and not to be kept.
public struct Headers: ~Copyable {
  @usableFromInline let raw: UnsafeBufferPointer<bh_field>

  init(fields: UnsafeBufferPointer<bh_field>) { raw = fields }

  /// How many fields there are.
  public var count: Int { raw.count }

  /// The first value of a field; `nil` if there is none.
  public subscript(_ name: String) -> String? {
    withBytes(name) { $0.map { String(decoding: $0, as: UTF8.self) } }
  }

  /// All values of a field, in their order.
  public func all(_ name: String) -> [String] {
    name.withBytes { name in
      raw.filter { $0.name.equalsIgnoringCase(name.buffer) }.map(\.value.string)
    }
  }

  /// The bytes of a field's first value, without a copy; `nil` if there is none.
  @inlinable public func withBytes<R>(
    _ name: String, _ body: (UnsafeRawBufferPointer?) throws -> R
  ) rethrows -> R {
    try body(first(name)?.buffer)
  }

  /// Copies of all fields, names as sent.
  public var fields: [(name: String, value: String)] { raw.map { ($0.name.string, $0.value.string) } }

  /// Hands out the bytes of each field, names as sent, without a copy.
  @inlinable public func withEach(
    _ body: (_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws -> Void
  ) rethrows {
    for field in raw { try body(field.name.buffer, field.value.buffer) }
  }

  @usableFromInline func first(_ name: String) -> bh_bytes? {
    name.withBytes { name in
      for field in raw where field.name.equalsIgnoringCase(name.buffer) { return field.value }
      return nil
    }
  }
}
