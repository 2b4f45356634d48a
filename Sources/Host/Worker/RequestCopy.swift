import HTTPCodec

/// The request that met a fault, as the ledger keeps it: with secrets taken out, and without its body.
enum RequestCopy {
  /// A head of HTTP/1.1. Values of the query and of fields that hold secrets are redacted; fields that describe the body
  /// are left out with it.
  static func text(of x: Exchange) -> String {
    let view = x.request.pointee
    let query = view.query.isEmpty ? "" : "?\(redacted(query: view.query.string))"
    var text = "\(view.method_name.string) \(view.path.string)\(query) HTTP/1.1\r\n"
    for index in 0..<view.field_count {
      let field = view.fields[index]
      if bodyFields.contains(where: { field.name.equalsIgnoringCase(bh_bytes($0)) }) { continue }
      text += "\(field.name.string): \(Redaction.shown(field.value, ofFieldNamed: field.name))\r\n"
    }
    return text + "\r\n"
  }

  private static let bodyFields: [StaticString] = ["Content-Length", "Transfer-Encoding", "Expect"]

  private static func redacted(query: String) -> String {
    query.split(separator: "&", omittingEmptySubsequences: false).map { part in
      part.contains("=") ? "\(part.prefix { $0 != "=" })=\(Configuration.redacted)" : Configuration.redacted
    }.joined(separator: "&")
  }
}
