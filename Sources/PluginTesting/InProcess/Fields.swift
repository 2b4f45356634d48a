/// Names and values in an order, where a name may stand more than once: settings, or header fields.
///
/// Written as `["limit": "5/1m"]` or as `[("limit", "5/1m")]`.
public struct Fields: Sendable, ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral {
  public var elements: [(name: String, value: String)]

  public init(_ elements: [(name: String, value: String)]) { self.elements = elements }

  /// In the order of the keys.
  public init(_ dictionary: [String: String]) {
    elements = dictionary.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  public init(dictionaryLiteral elements: (String, String)...) {
    self.elements = elements.map { ($0.0, $0.1) }
  }

  public init(arrayLiteral elements: (String, String)...) {
    self.elements = elements.map { ($0.0, $0.1) }
  }
}
