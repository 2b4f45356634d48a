import PluginAPI
import PluginTesting
import Testing

@testable import CORSPlugin

@Suite("The CORS plugin")
struct CORSMiddlewareTests {
  private func host(
    _ settings: [(String, String)] = [], downstream: Answer = Answer(body: "downstream")
  ) throws -> InProcessHost {
    let usual = [
      ("origins", "https://velro.ai, https://*.velro.ai"), ("methods", "GET, PUT, DELETE"),
      ("headers", "Authorization, Content-Type"), ("expose", "X-Request-Id"), ("credentials", "true"),
    ]
    let given = Set(settings.map(\.0))
    return try InProcessHost(
      PluginTable.of(CORSMiddleware.self),
      settings: Fields(usual.filter { !given.contains($0.0) } + settings),
      appliesTo: .all, downstream: downstream)
  }

  @Test("a preflight is answered by the plugin, with all that is allowed")
  func preflight() throws {
    let host = try host()
    let answer = try host.send(
      "OPTIONS", "/api/v1/projects",
      headers: [
        "Origin": "https://app.velro.ai", "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "authorization,content-type",
      ])
    #expect(answer.status == 204 && !answer.reachedHandler && answer.decidedCORS)
    #expect(
      answer.headers.map { "\($0.name): \($0.value)" } == [
        "Access-Control-Allow-Origin: https://app.velro.ai", "Access-Control-Allow-Credentials: true",
        "Access-Control-Allow-Methods: GET, PUT, DELETE",
        "Access-Control-Allow-Headers: Authorization, Content-Type", "Access-Control-Max-Age: 600",
        "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
      ])
    #expect(host.metric("refused_total")?.value == 0)
  }

  @Test("a refused preflight is answered too, without the origin, and counted")
  func refusedPreflight() throws {
    let host = try host()
    let answer = try host.send(
      "OPTIONS", "/", headers: ["Origin": "https://evil.example", "Access-Control-Request-Method": "PUT"])
    #expect(answer.status == 204 && answer.decidedCORS)
    #expect(answer.headers.map(\.name) == ["Vary"])
    #expect(host.metric("refused_total")?.value == 1)
    #expect(host.logLines.contains { $0.message.contains("origin not allowed") })
  }

  @Test("a preflight for the private network is granted only by a policy that says so")
  func privateNetwork() throws {
    func granted(_ value: String) throws -> String? {
      try host([("private-network", value)]).send(
        "OPTIONS", "/",
        headers: [
          "Origin": "https://velro.ai", "Access-Control-Request-Method": "GET",
          "Access-Control-Request-Private-Network": "true",
        ]
      ).header("Access-Control-Allow-Private-Network")
    }
    #expect(try granted("true") == "true")
    #expect(try granted("false") == nil)
  }

  @Test(
    "an actual request goes on, and its response carries the fields, whatever its status",
    arguments: [200, 503])
  func actual(status: Int) throws {
    let answer = try host(downstream: Answer(status: status)).send(
      "GET", "/", headers: ["Origin": "https://velro.ai"])
    #expect(answer.status == status && answer.reachedHandler && answer.decidedCORS)
    #expect(answer.header("Access-Control-Allow-Origin") == "https://velro.ai")
    #expect(answer.header("Access-Control-Allow-Credentials") == "true")
    #expect(answer.header("Access-Control-Expose-Headers") == "X-Request-Id")
    #expect(answer.headerValues("Vary") == ["Origin"])
  }

  @Test("a request without an origin, or of one that is refused, gets only Vary, and still goes on")
  func refused() throws {
    let host = try host()
    for headers in [[:], ["Origin": "https://evil.example"], ["Origin": "null"]] as [Fields] {
      let answer = try host.send("GET", "/", headers: headers)
      #expect(answer.reachedHandler && answer.decidedCORS)
      #expect(answer.headers.filter { $0.name.hasPrefix("Access-Control") }.isEmpty)
      #expect(answer.headerValues("Vary") == ["Origin"])
    }
    #expect(host.metric("refused_total")?.value == 2)
  }

  @Test("OPTIONS without Access-Control-Request-Method, or without Origin, is left to the host")
  func otherOptions() throws {
    let host = try host()
    let named = try host.send("OPTIONS", "/", headers: ["Origin": "https://velro.ai"])
    #expect(named.header("Allow") != nil)
    #expect(named.header("Access-Control-Allow-Origin") == "https://velro.ai")
    let anonymous = try host.send("OPTIONS", "/", headers: ["Access-Control-Request-Method": "PUT"])
    #expect(anonymous.header("Allow") != nil && anonymous.header("Access-Control-Allow-Methods") == nil)
  }

  @Test("a path's own policy decides, for its preflights too")
  func paths() throws {
    let host = try host([
      ("policy", "/api/v1/public/* origins=* methods=GET credentials=false"),
      ("policy", "/internal origins="),
    ])
    let open = try host.send("GET", "/api/v1/public/news/7", headers: ["Origin": "https://anyone.example"])
    #expect(open.header("Access-Control-Allow-Origin") == "*")
    #expect(open.header("Access-Control-Allow-Credentials") == nil)
    #expect(open.header("Vary") == nil)
    let preflight = try host.send(
      "OPTIONS", "/api/v1/public/news",
      headers: ["Origin": "https://anyone.example", "Access-Control-Request-Method": "DELETE"])
    #expect(preflight.header("Access-Control-Allow-Methods") == "GET")
    #expect(preflight.header("Access-Control-Max-Age") == nil)
    let closed = try host.send("GET", "/internal", headers: ["Origin": "https://velro.ai"])
    #expect(closed.header("Access-Control-Allow-Origin") == nil)
    let other = try host.send("GET", "/api/v1/public", headers: ["Origin": "https://anyone.example"])
    #expect(other.header("Access-Control-Allow-Origin") == nil)
  }

  @Test("the plugin does not start with an unsafe policy, and says which")
  func unsafe() throws {
    let inherited = #expect(throws: StartFailure.self) { try host([("policy", "/open origins=*")]) }
    #expect(inherited?.description.contains("policy = /open origins=*: credentials") == true)
    let plain = #expect(throws: StartFailure.self) { try host([("origins", "*")]) }
    #expect(plain?.description.contains("the default policy: credentials") == true)
  }

  @Test("without settings, no origin is allowed")
  func empty() throws {
    let host = try InProcessHost(PluginTable.of(CORSMiddleware.self), appliesTo: .all)
    let answer = try host.send("GET", "/", headers: ["Origin": "https://velro.ai"])
    #expect(answer.headers.map(\.name).contains("Vary"))
    #expect(answer.header("Access-Control-Allow-Origin") == nil)
  }
}
