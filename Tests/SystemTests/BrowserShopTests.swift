import BrowserTesting
import Foundation
import PluginTesting
import Testing

/// The shop's front end in a real browser, on another origin than the host: what CORS is for.
@Suite("The shop in a browser", .serialized)
struct BrowserShopTests {
  /// A site that serves the front end, a host that knows it or does not, and the front end's page in a browser.
  private final class Visit {
    let site: PageServer
    let host: HostProcess
    private let browser: Chromium
    let tab: BrowserTab

    /// - Parameters:
    ///   - isKnown: whether the site is one of the host's origins.
    ///   - edit: changes the shipped configuration further.
    init(isKnown: Bool = true, edit: (String) -> String = { $0 }) throws {
      let page = "\(ReleaseBuild.packageRoot)/Tests/Browser/Pages/shop.html"
      let text = String(decoding: FileManager.default.contents(atPath: page) ?? Data(), as: UTF8.self)
      let site = try PageServer(["/": text])
      self.site = site
      host = try ShippedConfiguration.start(edit: {
        edit(isKnown ? $0.replacing("http://localhost:3000", with: site.origin) : $0)
      })
      browser = try Chromium()
      tab = try browser.open()
      try tab.navigate(to: "\(site.origin)/?api=http://\(host.endpoints[0])")
    }

    /// What a script of the page learns of one request.
    func look(_ method: String, _ path: String, _ options: String = "{}") throws -> JSONValue {
      try tab.evaluate("look('\(method)', '\(path)', \(options))")
    }
  }

  @Test("from an account to a picture, across origins, with preflights, credentials and a stream")
  func buysAPicture() throws {
    let visit = try Visit()
    let bought = try visit.tab.evaluate("buyAPicture()")
    #expect(bought["seen"].array.last?.string == "completed", "\(bought)")
    #expect(bought["type"].string == "image/png")
    #expect(bought["width"].int == 96)
    #expect(bought["height"].int == 64)
    #expect(bought["name"].string == "Renamed")
    #expect(bought["balance"].int == 95)
    // Fields that a script reads only because they are exposed.
    #expect(bought["requestID"].string?.isEmpty == false)
    #expect(bought["rateLimit"].string?.isEmpty == false)
    #expect(try visit.tab.complaints() == [])
    let failures = try visit.tab.failures()
    #expect(failures == [], "\(failures)")
    // The browser did ask first.
    let requests = try visit.host.get("/__diag/requests").json["requests"].array
    let preflights = requests.filter { $0["method"].string == "OPTIONS" }
    #expect(preflights.count >= 4, "\(requests)")
    #expect(preflights.allSatisfy { $0["status"].int == 204 })
  }

  @Test(
    "a page of a foreign origin learns nothing: neither answers nor status, and what changes state never arrives"
  )
  func foreignOrigin() throws {
    let visit = try Visit(isKnown: false)
    for path in [
      "/health", "/api/v1/credits/_ping", "/api/v1/credits/balance", "/nothing", "/__diag/plugins",
    ] {
      #expect(try visit.look("GET", path) == .object(["error": .string("TypeError")]), "\(path)")
    }
    let account = #"{"email":"eve@example.org","password":"correct horse battery staple"}"#
    let refused = try visit.look("POST", "/api/v1/auth/register", "{body: \(account)}")
    #expect(refused == .object(["error": .string("TypeError")]))
    let failures = try visit.tab.failures()
    #expect(failures.count == 6, "\(failures)")
    #expect(failures.allSatisfy { $0.cors != nil }, "\(failures)")
    let requests = try visit.host.get("/__diag/requests").json["requests"].array
    #expect(
      !requests.contains { $0["method"].string == "POST" }, "the browser sent what its preflight refused")
  }

  @Test("with auth broken a page reads the status and the problem of every answer: no nameless network error")
  func authBroken() throws {
    let directory = try TemporaryDirectory()
    let garbage = try directory.write("libGarbage.so", "this is no shared library", mode: 0o755)
    let visit = try Visit(edit: {
      $0.replacing("library = AuthPlugin", with: "library = \(garbage)").replacing(
        "probe = ", with: "# probe = ")
    })
    #expect(try visit.host.plugin("auth")["reason"].string == "load-failed")
    let token = "{token: 'a.b.c'}"
    for (method, path, options) in [
      ("GET", "/api/v1/credits/balance", token), ("GET", "/api/v1/projects", token),
      ("GET", "/api/v1/auth/me", token),
      ("POST", "/api/v1/auth/login", "{body: {email: 'a', password: 'b'}}"),
      ("POST", "/api/v1/generations", "{token: 'a.b.c', body: {}, key: 'k'}"),
    ] {
      let answer = try visit.look(method, path, options)
      #expect(answer["status"].int == 503, "\(method) \(path): \(answer)")
      #expect(answer["type"].string == "application/problem+json")
      #expect(answer["json"]["code"].string == "plugin-unavailable")
      #expect(answer["json"]["plugin"].string == "auth")
      #expect(answer["requestID"].string == answer["json"]["request_id"].string)
      #expect(answer["requestID"].string?.isEmpty == false)
      #expect(answer["retryAfter"].string.flatMap { Int($0) } ?? 0 > 0)
    }
    let ping = try visit.look("GET", "/api/v1/credits/_ping")
    #expect(ping["status"].int == 200)
    #expect(ping["json"]["service"].string == "credits")
    #expect(try visit.look("GET", "/nothing")["status"].int == 404)
    #expect(try visit.tab.failures() == [], "the browser kept an answer from the page")
  }

  @Test("with every plugin broken a page still reads what is wrong, by the built-in policy")
  func everyPluginBroken() throws {
    let visit = try Visit(edit: { text in
      ["CORSPlugin", "AuthPlugin", "RateLimitPlugin", "DomainRoutes"].reduce(text) {
        $0.replacing("library = \($1)", with: "library = \($1)Missing")
      }.replacing("probe = ", with: "# probe = ")
    })
    for path in OutageTests.protected + OutageTests.pings {
      let answer = try visit.look("GET", path, "{token: 'a.b.c'}")
      #expect(answer["status"].int == 503, "\(path): \(answer)")
      #expect(answer["json"]["code"].string == "plugin-unavailable")
    }
    #expect(try visit.look("GET", "/health")["json"]["status"].string == "degraded")
    let failures = try visit.tab.failures()
    #expect(failures == [], "\(failures)")
  }
}
