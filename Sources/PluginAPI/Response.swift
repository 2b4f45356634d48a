/// What a handler answers, or a middleware that ends the request phase.
public struct Response: Sendable {
  /// 200...599.
  public var status: Int

  /// Each replaces what earlier plugins have set under its name; but `Vary` and `Set-Cookie` are added to it. A name that
  /// stands here twice is sent twice.
  public var headers: [(name: String, value: String)]

  public var body: Body

  public enum Body: Sendable {
    case empty
    case bytes([UInt8])
    case text(String)
    /// Made bit by bit; only in a handler's response.
    case stream(any StreamSource)
  }

  public init(status: Int = 200, headers: [(name: String, value: String)] = [], body: Body = .empty) {
    self.status = status
    self.headers = headers
    self.body = body
  }

  /// `text/plain` in UTF-8.
  public static func text(_ text: String, status: Int = 200) -> Response {
    Response(status: status, headers: contentTypeText, body: .text(text))
  }

  /// `application/json`.
  public static func json(_ encoded: [UInt8], status: Int = 200) -> Response {
    Response(status: status, headers: contentTypeJSON, body: .bytes(encoded))
  }

  /// `application/json`.
  public static func json(_ encoded: String, status: Int = 200) -> Response {
    Response(status: status, headers: contentTypeJSON, body: .text(encoded))
  }

  /// 204.
  public static func noContent() -> Response { Response(status: 204) }

  // Made once, so that a response in the usual formats allocates nothing for its fields.
  private static let contentTypeText = [(name: "Content-Type", value: "text/plain; charset=utf-8")]
  private static let contentTypeJSON = [(name: "Content-Type", value: "application/json")]
}
