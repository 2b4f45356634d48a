import Foundation
import OpenAPITesting
import PluginTesting
import Testing

/// The description of the whole shop, and the shop as it is shipped.
@Suite("The API's description")
struct OpenAPITests {
  @Test("it has every route that the host serves below /api/v1, with its access, and no other")
  func routes() throws {
    let shop = try DescribedShop(try ShippedConfiguration.start())
    #expect(shop.contract.documentErrors() == [])
    let routes = try shop.host.get("/__diag/routes").json["routes"].array.filter {
      $0["pattern"].string?.hasPrefix("/api/v1/") == true
    }
    let names = routes.map { "\($0["method"].string ?? "?") \($0["pattern"].string ?? "?")" }
    #expect(names.sorted() == shop.contract.operations)
    for (route, name) in zip(routes, names) {
      let path = String(name.split(separator: " ")[1].dropFirst("/api/v1".count))
      let operation = shop.contract.document["paths"].object[path]?.object[
        route["method"].string?.lowercased() ?? ""]
      let isOpen = operation?.object["security"] == .array([])
      #expect(isOpen == (route["access"].string == "public"), "\(name)")
    }
  }

  @Test("accounts answer as described, whatever is asked of them")
  func accounts() throws {
    let host = try ShippedConfiguration.start(edit: ShippedConfiguration.unlimited)
    let shop = try DescribedShop(host)
    let email = "ada-\(UUID().uuidString.lowercased())@example.org"
    let credentials = #"{"email":"\#(email)","password":"\#(Shop.password)"}"#
    try shop.expect(200, "GET", "auth/_ping")
    try shop.expect(422, "POST", "auth/register", #"{"email":"x","password":"short"}"#)
    try shop.expect(400, "POST", "auth/register", "{")
    try shop.expect(415, "POST", "auth/register", "{}", headers: [("Content-Type", "text/plain")])
    try shop.expect(201, "POST", "auth/register", credentials)
    try shop.expect(409, "POST", "auth/register", credentials)
    try shop.expect(401, "POST", "auth/login", #"{"email":"\#(email)","password":"wrong"}"#)
    let grant = try shop.expect(200, "POST", "auth/login", credentials)
    let token = try #require(grant["access_token"].string)
    let refresh = #"{"refresh_token":"\#(grant["refresh_token"].string ?? "")"}"#
    try shop.expect(401, "GET", "auth/me")
    try shop.expect(200, "GET", "auth/me", token: token)
    try shop.expect(200, "PUT", "auth/profile", #"{"display_name":"Ada","avatar_url":null}"#, token: token)
    try shop.expect(422, "PUT", "auth/profile", #"{"avatar_url":"javascript:x"}"#, token: token)
    try shop.expect(200, "POST", "auth/refresh", refresh)
    try shop.expect(401, "POST", "auth/refresh", refresh)
    try shop.expect(401, "GET", "auth/me", token: token)
    let second = try #require(
      try shop.expect(200, "POST", "auth/login", credentials)["access_token"].string)
    try shop.expect(204, "POST", "auth/logout", token: second)
    try shop.expect(401, "GET", "auth/me", token: second)
  }

  @Test("credits and projects answer as described")
  func creditsAndProjects() throws {
    let shop = try DescribedShop(try ShippedConfiguration.start(edit: ShippedConfiguration.unlimited))
    let token = try Shop(host: shop.host).register().token
    for part in ["credits", "projects", "generations"] { try shop.expect(200, "GET", "\(part)/_ping") }
    try shop.expect(401, "GET", "credits/balance")
    try shop.expect(401, "GET", "credits/balance", token: "a.b.c")
    try shop.expect(200, "GET", "credits/balance", token: token)
    try shop.expect(200, "GET", "credits/transactions?type=bonus&per_page=5", token: token)
    try shop.expect(422, "GET", "credits/transactions?page=0&type=x", token: token)
    try shop.expect(200, "GET", "credits/stats?days=7", token: token)
    let purchase = #"{"credit_amount":5,"payment_method_id":"pm"}"#
    try shop.expect(501, "POST", "credits/purchase", purchase, token: token)
    try shop.expect(404, "POST", "credits/redeem", #"{"code":"NO"}"#, token: token)
    try shop.expect(403, "POST", "credits/grant", "{}", token: token)

    let key = [("Idempotency-Key", "one")]
    let named = #"{"name":"A","tags":["x"],"metadata":{"a":[1]}}"#
    let id = try #require(
      try shop.expect(201, "POST", "projects", named, token: token, headers: key)["id"].string)
    try shop.expect(201, "POST", "projects", named, token: token, headers: key)
    try shop.expect(422, "POST", "projects", #"{"name":"B"}"#, token: token, headers: key)
    try shop.expect(400, "POST", "projects", named, token: token, headers: [("Idempotency-Key", "ä")])
    let tag = try #require(try shop.send("GET", "projects/\(id)", token: token).header("ETag"))
    try shop.expect(304, "GET", "projects/\(id)", token: token, headers: [("If-None-Match", tag)])
    try shop.expect(
      200, "PATCH", "projects/\(id)", #"{"visibility":"public"}"#, token: token, headers: [("If-Match", tag)])
    try shop.expect(
      412, "PUT", "projects/\(id)", #"{"name":"C"}"#, token: token, headers: [("If-Match", tag)])
    try shop.expect(200, "GET", "projects?search=a&sort=name&order=desc", token: token)
    try shop.expect(200, "GET", "projects/\(id)/stats", token: token)
    try shop.expect(204, "DELETE", "projects/\(id)", token: token)
    try shop.expect(404, "GET", "projects/\(id)", token: token)
  }

  @Test("generations answer as described, images and events too")
  func generations() throws {
    let shop = try DescribedShop(try ShippedConfiguration.start(edit: ShippedConfiguration.unlimited))
    let token = try Shop(host: shop.host).register().token
    try shop.expect(200, "GET", "generations/models/supported")
    let order = #"{"model_id":"sketch-1","prompt":"a ship","parameters":{"width":64,"height":64}}"#
    let id = try #require(try shop.expect(202, "POST", "generations", order, token: token)["id"].string)
    try wait("the image") {
      try shop.send("GET", "generations/\(id)", token: token).json["status"].string == "completed"
    }
    try shop.expect(200, "GET", "generations/\(id)/media", token: token)
    try shop.expect(200, "GET", "generations/\(id)/events", token: token)
    try shop.expect(200, "PATCH", "generations/\(id)", #"{"is_favorite":true}"#, token: token)
    try shop.expect(200, "GET", "generations?favorite=true&status=completed", token: token)
    try shop.expect(200, "GET", "generations/stats", token: token)
    try shop.expect(409, "POST", "generations/\(id)/cancel", token: token)
    try shop.expect(422, "POST", "generations", #"{"model_id":"none"}"#, token: token)
    let dear = #"{"model_id":"mosaic-1","prompt":"p","parameters":{"width":64,"height":64}}"#
    for _ in 0..<9 { try shop.expect(202, "POST", "generations", dear, token: token) }
    try shop.expect(402, "POST", "generations", dear, token: token)
    try shop.expect(204, "DELETE", "generations/\(id)", token: token)
    try shop.expect(404, "GET", "generations/\(id)/media", token: token)
  }

  @Test("a limit that is exceeded answers as described")
  func limited() throws {
    let shop = try DescribedShop(try ShippedConfiguration.start())
    try wait("the limit on registrations") {
      try shop.send("POST", "auth/register", "{}").status == 429
    }
  }

  @Test("an outage of the auth plugin answers as described: 503, and never 500")
  func outage() throws {
    let shop = try DescribedShop(try ShippedConfiguration.start())
    let token = try Shop(host: shop.host).register().token
    #expect(try shop.host.command("quarantine", "auth").status == .exited(0))
    try shop.host.waitFor(plugin: "auth", state: "quarantined")
    try shop.expect(503, "GET", "credits/balance", token: token)
    try shop.expect(503, "POST", "auth/login", #"{"email":"a@b.c","password":"x"}"#)
    try shop.expect(200, "GET", "generations/models/supported")
  }
}
