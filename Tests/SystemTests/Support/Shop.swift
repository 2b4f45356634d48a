import Foundation
import PluginTesting

/// The shop as its front end uses it.
struct Shop {
  let host: HostProcess

  /// A user who has just signed up.
  struct User {
    let id: String
    let email: String
    let token: String
    let refreshToken: String
    var bearer: (String, String) { ("Authorization", "Bearer \(token)") }
  }

  static let password = "correct horse battery staple"

  func register(_ email: String = "user-\(UUID().uuidString.lowercased())@example.org") throws -> User {
    let answer = try host.send(
      "POST", "/api/v1/auth/register",
      json: #"{"email":"\#(email)","password":"\#(Shop.password)","display_name":"Ada"}"#)
    guard answer.status == 201, let token = answer.json["access_token"].string,
      let refreshToken = answer.json["refresh_token"].string, let id = answer.json["user"]["id"].string
    else { throw HarnessError.malformed("register: \(answer.status) \(answer.text)") }
    return User(id: id, email: email, token: token, refreshToken: refreshToken)
  }

  func balance(of user: User) throws -> Int? {
    try host.get("/api/v1/credits/balance", headers: [user.bearer]).json["current_balance"].int
  }
}
