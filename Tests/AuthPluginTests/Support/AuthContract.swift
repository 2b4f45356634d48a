import JSONBodies
import OpenAPITesting
import PluginTesting
import Testing

@testable import DomainRoutes

/// The shop's description, which DomainRoutes serves, and by which every answer in this suite is judged.
enum AuthContract {
  static let contract: Contract? = {
    do {
      let text = try JSONText.encode(APIDocument.json(mount: "/api/v1"))
      return Contract(try PluginTesting.JSONValue(parsing: text.utf8))
    } catch {
      Issue.record("the description cannot be read: \(error)")
      return nil
    }
  }()

  /// Records what is wrong with an answer by the description.
  static func checked(_ answer: Answer, to method: String, _ target: String, _ body: String = "") -> Answer {
    let violations = contract?.violations(
      Contract.Exchange(
        method: method, target: target, requestBody: [UInt8](body.utf8), status: answer.status,
        headers: answer.headers, body: answer.body))
    for violation in violations ?? [] { Issue.record("\(violation)") }
    return answer
  }
}
