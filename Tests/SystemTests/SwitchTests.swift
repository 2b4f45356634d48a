import PluginTesting
import Testing

/// The switches that need no deployment.
@Suite("Switches")
struct SwitchTests {
  private func settings() -> HostSettings {
    HostSettings(
      plugins: Section.fault("light", mount: "/light", "paths = /fault", "tag = light")
        + Section.fault("heavy", mount: "/heavy", "paths = /fault", "heavy = true", "tag = heavy")
        + Section.fault("fault", mount: "/fault", "paths = /nothing"))
  }

  @Test("BYPASS_ALL_MIDDLEWARE: no middleware runs; routes, built-ins and CORS do; nothing is opened")
  func bypassAll() throws {
    let host = try HostProcess(settings(), environment: ["BYPASS_ALL_MIDDLEWARE": "true"])
    let answer = try host.get("/fault/echo", headers: [("X-Fault", "throw"), ("Origin", Origin.own)])
    #expect(answer.status == 200)
    #expect(answer.header("X-Fault-Tag") == nil)
    #expect(answer.header("Access-Control-Allow-Origin") == Origin.own)
    let protected = try host.get("/fault/private", headers: [("Authorization", "Bearer a.b.c")])
    #expect(protected.status == 401)
    #expect(protected.header("WWW-Authenticate") != nil)
    #expect(try host.get("/health").json["bypass"].string == "all")
    #expect(try host.diagnostics()["bypass"].string == "all")
    #expect(host.log.lowercased().contains("bypass"))
  }

  @Test("DISABLE_HEAVY_MIDDLEWARE: those marked heavy are off, the others run, and routes of both are served")
  func disableHeavy() throws {
    let host = try HostProcess(settings(), environment: ["DISABLE_HEAVY_MIDDLEWARE": "true"])
    let answer = try host.get("/fault/echo")
    #expect(answer.status == 200)
    #expect(answer.header("X-Fault-Tag") == "light")
    #expect(try host.get("/heavy/echo").status == 200)
    #expect(try host.get("/health").json["bypass"].string == "heavy")
    #expect(try host.plugin("heavy")["state"].string == "off")
  }

  @Test(
    "with both off everything runs, and a switch set to anything but true changes nothing",
    arguments: [
      [:], ["BYPASS_ALL_MIDDLEWARE": "false"], ["DISABLE_HEAVY_MIDDLEWARE": ""],
    ])
  func off(environment: [String: String]) throws {
    let host = try HostProcess(settings(), environment: environment)
    #expect(try host.get("/fault/echo").header("X-Fault-Tag") == "heavy")
    #expect(try host.get("/health").json["bypass"].string == "off")
  }

  @Test("the same by command, on the running host, and back", arguments: [("all", nil), ("heavy", "light")])
  func byCommand(what: String, tag: String?) throws {
    let host = try HostProcess(settings())
    let worker = try host.worker().pid
    #expect(try host.command("bypass", what).status == .exited(0))
    try wait("the bypass") { try host.get("/health").json["bypass"].string == what }
    #expect(try host.get("/fault/echo").header("X-Fault-Tag") == tag)
    #expect(try host.command("bypass", "off").status == .exited(0))
    try wait("its end") { try host.get("/health").json["bypass"].string == "off" }
    #expect(try host.get("/fault/echo").header("X-Fault-Tag") == "heavy")
    #expect(try host.worker().pid == worker, "no deployment, and no new generation")
  }

  @Test(
    "a protected route behind shipped auth answers 401 while everything is bypassed, even with a good token")
  func bypassOpensNothing() throws {
    let host = try ShippedConfiguration.start()
    let user = try Shop(host: host).register()
    #expect(try host.get("/api/v1/credits/balance", headers: [user.bearer]).status == 200)
    let bypassed = try HostProcess(
      configuration: ShippedConfiguration.adapted(to: try TemporaryDirectory())
        .replacing("probe = ", with: "# probe = "), listeners: 1, in: try TemporaryDirectory(),
      environment: ["BYPASS_ALL_MIDDLEWARE": "true"])
    #expect(try bypassed.get("/api/v1/credits/balance", headers: [user.bearer]).status == 401)
    #expect(try bypassed.get("/api/v1/credits/_ping").status == 200)
  }
}
