import PluginTesting
import Testing

/// Requests, and what each is answered while all is well and while one plugin is out: written as a table, and held
/// against a host.
struct AnswerTable {
  /// One request.
  struct Line {
    let method, path: String
    /// `-`: none; `bad`: one that is no token; `user`: a user's.
    let token: String
    /// By column; `503|401`: while the plugin has failed, and while it is quarantined.
    let statuses: [String: String]

    var name: String { "\(method) \(path), token \(token)" }

    func status(_ column: String, isQuarantined: Bool) -> Int? {
      let choices = statuses[column]?.split(separator: "|").map(String.init) ?? []
      return (isQuarantined ? choices.last : choices.first).flatMap { Int($0) }
    }
  }

  let lines: [Line]

  /// - Parameter text: a line of headings, `request`, `token`, and the columns; below it a line a request.
  init(_ text: String) {
    let rows = text.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
    let columns = rows[0].dropFirst(2)
    lines = rows.dropFirst().map { row in
      Line(
        method: row[0], path: row[1], token: row[2],
        statuses: Dictionary(uniqueKeysWithValues: zip(columns, row.dropFirst(3))))
    }
  }

  /// What the host answers to each line.
  func answers(of host: HostProcess, to user: Shop.User) throws -> [HTTPResponse] {
    try lines.map { line in
      var headers = [("Origin", Origin.own)]
      switch line.token {
      case "user": headers.append(user.bearer)
      case "bad": headers.append(("Authorization", "Bearer not.a.token"))
      default: break
      }
      switch line.method {
      case "OPTIONS":
        headers += [
          ("Access-Control-Request-Method", "POST"),
          ("Access-Control-Request-Headers", "authorization, content-type"),
        ]
        return try host.send(line.method, line.path, headers: headers)
      case "POST": return try host.send(line.method, line.path, json: "{}", headers: headers)
      default: return try host.send(line.method, line.path, headers: headers)
      }
    }
  }
}

extension HTTPResponse {
  /// Its fields that name who may read it.
  var corsFields: [String] {
    headers.map { "\($0.name.lowercased()): \($0.value)" }
      .filter { $0.hasPrefix("access-control-") || $0.hasPrefix("vary:") }.sorted()
  }

  /// What does not change from one request to the next.
  ///
  /// - Parameter isLimited: whether what the limiter adds counts.
  func lasting(isLimited: Bool) -> [String] {
    let passing = ["date", "x-request-id", "traceparent", "content-length", "ratelimit"]
    let fields = headers.map { (name: $0.name.lowercased(), value: $0.value) }
      .filter { !passing.contains($0.name) && (isLimited || $0.name != "ratelimit-policy") }
      .map { "\($0.name): \($0.value)" }.sorted()
    return ["\(status)"] + fields
  }

  /// The body without what is of one request alone.
  var lastingBody: [String: JSONValue] {
    json.object.filter { !["request_id", "instance"].contains($0.key) }
  }
}
