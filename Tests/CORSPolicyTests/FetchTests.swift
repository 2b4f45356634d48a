import CORSPolicy
import Testing

/// What a browser does with our answer: the Fetch standard's "CORS check" and steps 7 of "CORS-preflight
/// fetch".
struct Browser {
  var includesCredentials: Bool

  /// Fetch, "CORS check".
  func passesCORSCheck(_ origin: String, _ answer: Verdict) -> Bool {
    guard let allowed = answer["Access-Control-Allow-Origin"] else { return false }
    if !includesCredentials, allowed == "*" { return true }
    guard allowed == origin else { return false }
    return !includesCredentials || answer["Access-Control-Allow-Credentials"] == "true"
  }

  /// Fetch, "CORS-preflight fetch", from the response on.
  func passesPreflight(_ origin: String, method: String, unsafeHeaders: [String], _ answer: Verdict) -> Bool {
    guard passesCORSCheck(origin, answer) else { return false }
    let methods = list(answer["Access-Control-Allow-Methods"])
    let names = list(answer["Access-Control-Allow-Headers"]).map { $0.lowercased() }
    let isMethodFine =
      methods.contains(method) || ["GET", "HEAD", "POST"].contains(method)
      || (!includesCredentials && methods.contains("*"))
    guard isMethodFine else { return false }
    return unsafeHeaders.allSatisfy { name in
      names.contains(name.lowercased())
        || (name.lowercased() != "authorization" && !includesCredentials && names.contains("*"))
    }
  }

  private func list(_ value: String?) -> [String] {
    (value ?? "").split(separator: ",").map { String($0.drop { $0 == " " }) }
  }
}

@Suite("The Fetch standard")
struct FetchTests {
  @Test("an actual request's answer is the origin, credentials, exposed fields, and Vary last")
  func actualRequest() throws {
    let shop = try policy(credentials: true).verdict("https://velro.ai")
    #expect(
      shop.headers.map { "\($0): \($1)" } == [
        "Access-Control-Allow-Origin: https://velro.ai", "Access-Control-Allow-Credentials: true",
        "Access-Control-Expose-Headers: X-Request-Id, Retry-After", "Vary: Origin",
      ])
  }

  @Test("an allowed preflight's answer has every field, and Vary last")
  func allowedPreflight() throws {
    let answer = try policy(credentials: true, privateNetwork: true)
      .preflight(
        "https://velro.ai", method: "PUT", headers: "authorization,content-type", privateNetwork: true)
    #expect(answer.isAllowed)
    #expect(
      answer.headers.map { "\($0): \($1)" } == [
        "Access-Control-Allow-Origin: https://velro.ai", "Access-Control-Allow-Credentials: true",
        "Access-Control-Allow-Methods: GET, PUT, PATCH, DELETE",
        "Access-Control-Allow-Headers: Authorization, Content-Type, X-Request-Id",
        "Access-Control-Max-Age: 600", "Access-Control-Allow-Private-Network: true",
        "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers, "
          + "Access-Control-Request-Private-Network",
      ])
  }

  @Test("a refused or absent origin gets only Vary, so that no cache serves it another's answer")
  func onlyVary() throws {
    let shop = try policy(credentials: true)
    for origin in ["https://evil.example", nil] {
      #expect(shop.verdict(origin).headers.map { "\($0): \($1)" } == ["Vary: Origin"])
      #expect(
        shop.preflight(origin, method: "GET").headers.map { "\($0): \($1)" } == [
          "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
        ])
    }
  }

  @Test("with * the answer is the same for every origin and for none, without Vary: Origin")
  func anyOrigin() throws {
    let open = try policy(origins: ["*"])
    for origin in ["https://anyone.example", "null", nil] {
      let answer = open.verdict(origin)
      #expect(answer["Access-Control-Allow-Origin"] == "*")
      #expect(answer["Vary"] == nil)
    }
    #expect(
      open.preflight("https://anyone.example", method: "GET")["Vary"]
        == "Access-Control-Request-Method, Access-Control-Request-Headers")
  }

  struct Case: Sendable, CustomTestStringConvertible {
    var allows: (methods: [String], headers: [String])
    var asks: (method: String, headers: String?)
    var isAllowed: Bool
    var testDescription: String {
      "\(allows.methods) \(allows.headers): \(asks.method) \(asks.headers ?? "-") \(isAllowed)"
    }
  }

  static let cases: [Case] = [
    // Methods: with case; GET, HEAD and POST always.
    Case(allows: (["PUT"], []), asks: ("PUT", nil), isAllowed: true),
    Case(allows: (["PUT"], []), asks: ("put", nil), isAllowed: false),
    Case(allows: (["PUT"], []), asks: ("DELETE", nil), isAllowed: false),
    Case(allows: ([], []), asks: ("GET", nil), isAllowed: true),
    Case(allows: ([], []), asks: ("HEAD", nil), isAllowed: true),
    Case(allows: (["PUT"], []), asks: ("POST", nil), isAllowed: true),
    Case(allows: ([], []), asks: ("PUT", nil), isAllowed: false),
    Case(allows: (["PATCH"], []), asks: ("patch", nil), isAllowed: false),
    Case(allows: (["*"], []), asks: ("REPORT", nil), isAllowed: true),
    Case(allows: (["*"], []), asks: ("NOT A METHOD", nil), isAllowed: false),
    Case(allows: (["*"], []), asks: ("", nil), isAllowed: false),
    // Header names: without case; the safelisted ones always.
    Case(allows: ([], ["X-Token"]), asks: ("GET", "x-token"), isAllowed: true),
    Case(allows: ([], ["x-token"]), asks: ("GET", "X-TOKEN"), isAllowed: true),
    Case(allows: ([], ["X-Token", "X-Other"]), asks: ("GET", "x-other,x-token"), isAllowed: true),
    Case(allows: ([], ["X-Token"]), asks: ("GET", " ,, x-token ,\t"), isAllowed: true),
    Case(allows: ([], ["X-Token"]), asks: ("GET", ""), isAllowed: true),
    Case(allows: ([], ["X-Token"]), asks: ("GET", "x-token,x-evil"), isAllowed: false),
    Case(allows: ([], ["X-Token"]), asks: ("GET", "x-toke"), isAllowed: false),
    Case(allows: ([], ["X-Token"]), asks: ("GET", "x-token x-token"), isAllowed: false),
    Case(
      allows: ([], []), asks: ("GET", "accept,accept-language,content-language,content-type,range"),
      isAllowed: true),
    Case(allows: ([], ["X-Token"]), asks: ("POST", "Content-Type,x-token"), isAllowed: true),
    Case(allows: ([], []), asks: ("GET", "authorization"), isAllowed: false),
    // `*` is every header but Authorization.
    Case(allows: ([], ["*"]), asks: ("GET", "x-anything,content-type"), isAllowed: true),
    Case(allows: ([], ["*"]), asks: ("GET", "authorization"), isAllowed: false),
    Case(allows: ([], ["*", "Authorization"]), asks: ("GET", "authorization,x-anything"), isAllowed: true),
    Case(allows: ([], ["*"]), asks: ("GET", "not a name"), isAllowed: false),
  ]

  @Test("a preflight is allowed as the standard says", arguments: cases)
  func preflights(_ row: Case) throws {
    let shop = try policy(methods: row.allows.methods, headers: row.allows.headers)
    let answer = shop.preflight("https://velro.ai", method: row.asks.method, headers: row.asks.headers)
    #expect(answer.isAllowed == row.isAllowed)
    #expect((answer["Access-Control-Max-Age"] != nil) == row.isAllowed)
  }

  @Test("what we decide is what a browser will conclude from our answer", arguments: [false, true])
  func agreesWithBrowser(includesCredentials: Bool) throws {
    let browser = Browser(includesCredentials: includesCredentials)
    for row in Self.cases where row.asks.method != "" && !row.asks.method.contains(" ") {
      let asked = (row.asks.headers ?? "").split(separator: ",").map {
        String($0.filter { $0 != " " && $0 != "\t" })
      }.filter { !$0.isEmpty }
      let named = Set(asked.map { $0.lowercased() })
      if row.asks.headers?.contains("x-token x-token") == true || named.contains("notaname") { continue }
      if includesCredentials, row.allows.methods.contains("*") || row.allows.headers.contains("*") {
        continue
      }
      let shop = try policy(
        methods: row.allows.methods, headers: row.allows.headers, credentials: includesCredentials)
      let answer = shop.preflight("https://velro.ai", method: row.asks.method, headers: row.asks.headers)
      let passes = browser.passesPreflight(
        "https://velro.ai", method: row.asks.method, unsafeHeaders: asked, answer)
      #expect(passes == answer.isAllowed, "\(row.testDescription)")
      #expect(
        !browser.passesPreflight(
          "https://evil.example", method: row.asks.method, unsafeHeaders: asked,
          shop.preflight("https://evil.example", method: row.asks.method, headers: row.asks.headers)))
    }
  }

  @Test("credentials pass only if the policy allows them")
  func credentials() throws {
    let without = try policy().verdict("https://velro.ai")
    #expect(Browser(includesCredentials: false).passesCORSCheck("https://velro.ai", without))
    #expect(!Browser(includesCredentials: true).passesCORSCheck("https://velro.ai", without))
    let with = try policy(credentials: true).verdict("https://velro.ai")
    #expect(Browser(includesCredentials: true).passesCORSCheck("https://velro.ai", with))
  }

  @Test("a preflight refused for its method names the methods that are allowed, but is kept by no browser")
  func refusedMethod() throws {
    let answer = try policy().preflight("https://velro.ai", method: "PROPFIND")
    #expect(answer.rule == "method not allowed")
    #expect(answer["Access-Control-Allow-Methods"] == "GET, PUT, PATCH, DELETE")
    #expect(answer["Access-Control-Max-Age"] == nil)
  }

  @Test("a preflight refused for a header says so")
  func refusedHeader() throws {
    #expect(
      try policy().preflight("https://velro.ai", method: "GET", headers: "x-evil").rule
        == "header not allowed")
  }

  @Test("the private network is open only to whom the policy opens it")
  func privateNetwork() throws {
    let closed = try policy().preflight("https://velro.ai", method: "GET", privateNetwork: true)
    #expect(!closed.isAllowed)
    #expect(closed.rule == "private network not allowed")
    #expect(closed["Access-Control-Allow-Private-Network"] == nil)
    let open = try policy(privateNetwork: true)
    #expect(
      open.preflight("https://velro.ai", method: "GET", privateNetwork: true)[
        "Access-Control-Allow-Private-Network"]
        == "true")
    #expect(
      open.preflight("https://velro.ai", method: "GET")["Access-Control-Allow-Private-Network"] == nil)
    #expect(
      open.preflight("https://evil.example", method: "GET", privateNetwork: true)[
        "Access-Control-Allow-Private-Network"]
        == nil)
  }
}
