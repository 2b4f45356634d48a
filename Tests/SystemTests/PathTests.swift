import PluginTesting
import Testing

/// One normalised path for scopes, routes and plugins: no spelling slips past a middleware.
@Suite("Paths and scopes")
struct PathTests {
  /// Spellings of /fault/private.
  static let spellings = [
    "/fault/private", "/fault/private/", "/fault//private", "//fault/private", "/fault/./private",
    "/fault/x/../private", "/x/../fault/private", "/%66ault/private", "/fault/%70rivate",
    "/fault/%2e/private", "/fault/x/%2e%2e/private", "/fault/x/%2E%2e/private", "/fault/private?x=1",
    "/fault/private/?x=/../y", "http://a/fault/private", "/../fault/private", "/%2e%2e/fault/private",
  ]

  @Test("every spelling of a protected path is protected")
  func spellingsAreProtected() throws {
    let host = try HostProcess(
      HostSettings(plugins: Section.fault("fault", mount: "/fault", "paths = /nothing")))
    for spelling in PathTests.spellings {
      #expect(try host.get(spelling).status == 401, "\(spelling)")
    }
    for other in [
      "/FAULT/private", "/fault/Private", "/fault/private/x", "/faultprivate", "/fault/private%20",
    ] {
      #expect(try host.get(other).status == 404, "\(other)")
    }
  }

  @Test("every spelling of a path meets the middleware that is scoped to it")
  func spellingsMeetTheirMiddleware() throws {
    let host = try HostProcess(
      HostSettings(
        plugins: Section.fault("guard", mount: "/guard", "paths = /fault", "tag = guarded")
          + Section.fault("fault", mount: "/fault", "paths = /nothing")))
    for spelling in PathTests.spellings {
      let echo = spelling.replacing("private", with: "echo").replacing("%70rivate", with: "%65cho")
      let answer = try host.get(echo)
      #expect(answer.status == 200, "\(echo)")
      let path = answer.json["path"].string ?? ""
      #expect(path == "/fault/echo" || path == "/fault/echo/", "\(echo): \(answer.text)")
      #expect(answer.header("X-Fault-Tag") == "guarded", "\(echo)")
    }
  }

  @Test("what may stand in a path as it is means the same when it is escaped: to scopes, mounts and routes")
  func escapedDelimiters() throws {
    let host = try HostProcess(
      HostSettings(
        plugins: Section.fault("guard", mount: "/guard", "paths = /@me:run", "tag = guarded")
          + Section.fault("fault", mount: "/@me:run", "paths = /nothing")))
    for segment in ["@me:run", "%40me:run", "@me%3Arun", "%40me%3arun", "%40%6De%3Arun"] {
      let answer = try host.get("/\(segment)/echo")
      #expect(answer.status == 200, "\(segment)")
      #expect(answer.header("X-Fault-Tag") == "guarded", "\(segment)")
      #expect(answer.json["path"].string == "/@me:run/echo", "\(segment)")
    }
  }

  @Test(
    "an encoded slash, backslash, NUL or half an escape answers 400 before any plugin runs",
    arguments: [
      "/fault%2fecho", "/fault/%2Fecho", "/fault/..%2fecho", "/fault/%00", "/fault/%5cecho", "/fault/%",
      "/fault/%4",
      "/fault/%zz", "/fault\\echo",
    ])
  func refused(path: String) throws {
    let host = try HostProcess(HostSettings(plugins: Section.fault()))
    let answer = try host.get(path)
    #expect(answer.status == 400)
    #expect(answer.isProblem)
    #expect(try host.plugin("fault")["calls"].int == 0)
  }

  @Test("paths cover whole segments, * stands for one, and except takes out again")
  func scopes() throws {
    let host = try HostProcess(
      HostSettings(
        plugins: Section.fault("scoped", mount: "/s", "paths = /a/*/echo, /b", "except = /b/x", "tag = in")
          + Section.fault("a", mount: "/a/1", "paths = /nothing")
          + Section.fault("a2", mount: "/a/1/2", "paths = /nothing")
          + Section.fault("b", mount: "/b", "paths = /nothing")
          + Section.fault("bx", mount: "/b/x", "paths = /nothing")
          + Section.fault("bb", mount: "/bb", "paths = /nothing")))
    for (path, isIn) in [
      ("/a/1/echo", true), ("/a/1/2/echo", false), ("/b/echo", true), ("/b/x/echo", false),
      ("/bb/echo", false),
      ("/s/echo", false),
    ] {
      let answer = try host.get(path)
      #expect(answer.status == 200, "\(path)")
      #expect((answer.header("X-Fault-Tag") == "in") == isIn, "\(path)")
    }
  }

  @Test(
    "applies-to: protected, public, routes and all",
    arguments: [
      ("protected", [false, true, false]), ("public", [true, false, false]), ("routes", [true, true, false]),
      ("all", [true, true, true]),
    ])
  func appliesTo(scope: String, expected: [Bool]) throws {
    let host = try HostProcess(
      HostSettings(
        plugins: Section.fault("scoped", mount: "/s", "applies-to = \(scope)", "tag = in")
          + Section.fault("fault", mount: "/fault", "paths = /nothing")))
    for (path, isIn) in zip(["/fault/echo", "/fault/private", "/nothing"], expected) {
      #expect((try host.get(path).header("X-Fault-Tag") == "in") == isIn, "\(path)")
    }
    #expect(try host.get("/health").header("X-Fault-Tag") == nil, "no plugin runs for a built-in")
  }
}
