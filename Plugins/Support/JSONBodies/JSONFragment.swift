import PluginAPI

/// JSON text that is known to be valid, and goes into an answer as it is: what a client chose the shape of is checked once,
/// when it comes, and never made into values.
public struct JSONFragment: Sendable, Equatable {
  public let text: String

  /// - Parameter text: one JSON value; nobody looks at it again.
  public init(valid text: String) {
    self.text = text
  }

  public static let emptyObject = JSONFragment(valid: "{}")

  /// The text of an object, and one more member.
  ///
  /// - Parameters:
  ///   - object: encoded as a JSON object, which does not have the member.
  ///   - name: the member's; needs no escape.
  /// - Throws: `EncodingError`.
  public init(_ object: some Encodable, adding name: StaticString, _ value: JSONFragment) throws {
    var text = try JSONText.encode(object)
    text.removeLast()
    text += text.utf8.count > 1 ? ",\"" : "\""
    self.text = text + "\(name)\":" + value.text + "}"
  }

  /// The array of these.
  public init(array elements: [JSONFragment]) {
    text = "[" + elements.map(\.text).joined(separator: ",") + "]"
  }
}

extension Response {
  /// A JSON response of text that is JSON already.
  public static func json(
    _ fragment: JSONFragment, status: Int = 200, headers: [(name: String, value: String)] = []
  ) -> Response {
    Response(
      status: status, headers: [(name: "Content-Type", value: "application/json")] + headers,
      body: .text(fragment.text))
  }
}
