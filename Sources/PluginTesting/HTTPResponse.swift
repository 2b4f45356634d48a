/// One response as it stood on the wire.
public struct HTTPResponse: Sendable {
  /// "HTTP/1.1"
  public var version: String
  public var status: Int
  public var reason: String
  /// In the order received, names as sent.
  public var headers: [(name: String, value: String)]
  /// Transfer coding removed.
  public var body: [UInt8]
  /// The 1xx statuses that came before it.
  public var informational: [Int] = []
  /// True if the body came in chunks.
  public var isChunked = false

  /// The first value of a field; names are compared without case.
  public func header(_ name: String) -> String? { all(name).first }

  /// Every value of a field.
  public func all(_ name: String) -> [String] {
    headers.filter { $0.name.lowercased() == name.lowercased() }.map(\.value)
  }

  public var text: String { String(decoding: body, as: UTF8.self) }

  /// The body as JSON; `.null` if it is none. A test that looks for a member then fails on that member.
  public var json: JSONValue {
    do { return try JSONValue(parsing: body) } catch { return .null }
  }

  /// True if it is an RFC 9457 problem with the members that the host promises, its `status` that of the
  /// response.
  public var isProblem: Bool {
    let type = header("content-type")?.split(separator: ";").first.map(String.init)
    let value = json
    return type == "application/problem+json" && value["status"].int == status
      && ["type", "title", "code", "request_id"].allSatisfy { value[$0].string != nil }
  }
}
