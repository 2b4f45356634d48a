import Foundation
import OpenAPITesting
import PluginTesting
import Testing

/// The shop over a socket, each answer held against the description that it serves itself.
struct DescribedShop {
  let host: HostProcess
  let contract: Contract

  init(_ host: HostProcess) throws {
    self.host = host
    let answer = try host.get("/api/v1/openapi.json")
    guard answer.status == 200 else { throw HarnessError.malformed("openapi.json: \(answer.status)") }
    contract = Contract(answer.json)
  }

  /// Sends a request below `/api/v1`, and records what of its answer is not as described.
  @discardableResult
  func send(
    _ method: String, _ path: String, _ body: String? = nil, token: String? = nil,
    headers: [(String, String)] = []
  ) throws -> HTTPResponse {
    let target = "/api/v1/\(path)"
    let own =
      (body == nil ? [] : [("Content-Type", "application/json")])
      + (token.map { [("Authorization", "Bearer \($0)")] } ?? [])
    let bytes = body.map { Array($0.utf8) }
    let answer = try host.send(
      method, target, headers: own.filter { own in !headers.contains { $0.0 == own.0 } } + headers,
      body: bytes)
    let violations = contract.violations(
      Contract.Exchange(
        method: method, target: target, requestBody: bytes ?? [], status: answer.status,
        headers: answer.headers, body: answer.body))
    for violation in violations { Issue.record("\(violation)") }
    return answer
  }

  /// As `send`, and expects a status.
  @discardableResult
  func expect(
    _ status: Int, _ method: String, _ path: String, _ body: String? = nil, token: String? = nil,
    headers: [(String, String)] = [], sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> JSONValue {
    let answer = try send(method, path, body, token: token, headers: headers)
    #expect(
      answer.status == status, "\(method) \(path): \(answer.text.prefix(400))", sourceLocation: sourceLocation
    )
    return answer.json
  }
}

extension ShippedConfiguration {
  /// Without the limits that are for one user or one address at a time: a test asks often.
  static func unlimited(_ text: String) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false)
      .filter { !$0.hasPrefix("limit = POST ") }.joined(separator: "\n")
      .replacing("limit = 600/1m burst 120", with: "limit = 60000/1m")
  }
}
