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
    // Its routes are served; the middleware in it is what is skipped.
    #expect(try host.plugin("heavy")["state"].string == "active")
    #expect(try host.plugin("heavy")["bypassed"].bool == true)
    #expect(try host.plugin("light")["bypassed"].bool == false)
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

  @Test("a bypass is shown of what it skips, and hides neither a router nor what is wrong with a plugin")
  func bypassedStates() throws {
    let host = try ShippedConfiguration.start(edit: {
      $0 + "\n[plugin gone]\nlibrary = NoSuchLibrary\non-failure = open\n"
    })
    #expect(try host.command("quarantine", "ratelimit").status == .exited(0))
    #expect(try host.command("bypass", "all").status == .exited(0))
    try wait("the bypass") { try host.get("/health").json["bypass"].string == "all" }
    #expect(try host.get("/api/v1/credits/_ping").status == 200)
    let reports = [
      try host.diagnostics(),
      try JSONValue(parsing: Array(try host.command("status", "--json").output.utf8)),
    ]
    for report in reports {
      for (name, state, reason, isBypassed) in [
        ("cors", "off", nil, true), ("auth", "active", nil, true),
        ("ratelimit", "quarantined", "operator", true), ("gone", "failed", "load-failed", true),
        ("domain", "active", nil, false),
      ] as [(String, String, String?, Bool)] {
        let plugin = report["plugins"][name, by: "name"]
        #expect(plugin["state"].string == state, "\(name)")
        #expect(plugin["reason"].string == reason, "\(name)")
        #expect(plugin["bypassed"].bool == isBypassed, "\(name)")
      }
    }
    let metrics = try host.get("/metrics").text
    for sample in [
      #"{plugin="cors",state="off"} 1"#, #"{plugin="domain",state="active"} 1"#,
      #"{plugin="ratelimit",state="quarantined"} 1"#,
    ] { #expect(metrics.contains("bulkhead_plugin_state" + sample), "\(sample)") }
    #expect(try host.command("bypass", "off").status == .exited(0))
    try wait("its end") { try host.plugin("cors")["state"].string == "active" }
    #expect(try host.plugin("ratelimit")["state"].string == "quarantined")
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
