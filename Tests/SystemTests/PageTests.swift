import BrowserTesting
import Foundation
import PluginTesting
import Testing

/// The page at `/__diag/` in a real browser.
@Suite("The diagnostics page", .serialized)
struct PageTests {
  @Test("a host that is well says so, draws its pipeline, and the console has no complaint")
  func well() throws {
    let page = try DiagnosticsPage()
    for _ in 0..<20 { _ = try page.host.get("/fault/echo") }
    #expect(try page.text(of: "verdict-text") == "All is well: 2 plugins serve")
    #expect(try page.tab.evaluate("document.title").string == "✓ All well – Bulkhead")
    let stages = try page.tab.evaluate(
      "[...document.querySelectorAll('#pipe .stage > b')].map(stage => stage.innerText)")
    #expect(
      stages.array.compactMap(\.string) == ["Client", "Built-ins", "guard", "fault", "Access", "Routes"])
    try page.tab.wait(
      "the rate to be drawn", until: "known.samples.some(sample => sample.requests_per_s > 0)")
    try page.tab.wait(
      "a request with its plugins",
      until:
        "[...document.querySelectorAll('#requests li')].some(row => row.innerText.includes('/fault/echo')"
        + " && row.innerText.includes('guard') && row.querySelectorAll('.bar span').length >= 2)")
    #expect(try page.text(of: "generations").contains("serves since"))
    #expect(try page.tab.complaints() == [])
    #expect(try page.tab.failures() == [])
  }

  @Test("a plugin that crashes is named with its reason, its request and its backtrace, without a reload")
  func crash() throws {
    let page = try DiagnosticsPage()
    try page.tab.evaluate("window.isSamePage = true")
    try page.crash()
    try page.tab.wait(
      "the verdict",
      until: "document.getElementById('verdict-text').innerText.includes('fault is quarantined')")
    #expect(try page.text(of: "verdict-text") == "fault is quarantined: it crashed")
    try page.tab.wait(
      "the fault's own words",
      until: "document.getElementById('problems').innerText.includes('GET /fault/echo')")
    let problem = try page.text(of: "problems")
    #expect(problem.contains("503"), "\(problem)")
    #expect(problem.contains("It is not tried again by itself."), "\(problem)")
    #expect(problem.contains("bulkhead release fault"), "\(problem)")
    #expect(try page.text(of: "damage") == "All routes answer 503")
    #expect(
      try page.tab.evaluate("document.title").string?
        .hasPrefix("✕ All routes answer 503: fault is quarantined") == true)
    // What it died of is to be read before it is let in again.
    #expect(
      try page.tab.evaluate("document.querySelector('#problems button.main').innerText").string
        == "Show the fault")
    // For those who do not see it.
    try page.tab.wait(
      "the announcement",
      until: "document.getElementById('announcement').innerText.includes('fault is quarantined')")
    try page.click("Show the fault of fault")
    let open = try page.tab.evaluate("document.querySelector('#faults details[open]').innerText").string ?? ""
    #expect(open.contains("SIGILL"), "\(open)")
    #expect(open.contains("libFaultPlugin.so"), "the backtrace is not there: \(open)")
    #expect(open.contains("--replay"), "\(open)")
    // Its worker was replaced: the page went over to the next generation by itself.
    try page.tab.wait("the next generation", until: "known.status.generation > 1")
    try page.waitUntilLive()
    #expect(try page.text(of: "generations").contains("fault crashed"))
    #expect(try page.tab.evaluate("window.isSamePage").bool == true)
    #expect(try page.tab.complaints() == [])
  }

  @Test("a probe that lets the plugin back in turns the page well again")
  func recovers() throws {
    let page = try DiagnosticsPage(plugins: Section.fault("fault", mount: "/fault", "recover = 100ms..100ms"))
    try page.crash(kind: "throw")
    try page.tab.wait("the fault", until: "document.getElementById('verdict').className === 'bad'")
    try wait("the probe") { try page.host.get("/fault/echo").status == 200 }
    try page.tab.wait("all well", until: "document.getElementById('verdict').className === 'good'")
    #expect(try page.tab.complaints() == [])
  }

  @Test("buttons ask before they act, need the token, and do as the commands")
  func buttons() throws {
    let page = try DiagnosticsPage("admin-token = \(DiagnosticsPage.token)")
    try page.click("Quarantine guard")
    #expect(try page.tab.evaluate("document.getElementById('confirm').open").bool == true)
    #expect(try page.text(of: "confirm-text").contains("503"))
    #expect(try page.tab.evaluate("document.activeElement.id").string == "confirm-token")
    // Without the token, and with a wrong one.
    for wrong in ["", "let-me-act-2"] {
      try page.type(wrong)
      try page.click("Quarantine guard")
      try page.tab.wait(
        "the refusal", until: "document.getElementById('confirm-error').innerText.startsWith('401')")
      #expect(try page.host.plugin("guard")["state"].string == "active")
      try page.tab.evaluate(
        "document.getElementById('confirm-token').value = ''; document.getElementById('confirm-error').textContent = ''"
      )
    }
    try page.type(DiagnosticsPage.token)
    try page.tab.press("Enter", code: 13, text: "\r")
    try page.host.waitFor(plugin: "guard", state: "quarantined")
    try page.tab.wait(
      "the verdict",
      until:
        "document.getElementById('verdict-text').innerText === 'guard is quarantined: an operator took it out'"
    )
    #expect(try page.host.plugin("guard")["reason"].string == "operator")
    // It is no fault, and looks like none.
    #expect(
      try page.tab.evaluate("document.getElementById('verdict').className").string == "taken")
    #expect(try page.text(of: "damage") == "All routes in /fault; paths under /guard answer 503")
    for place in ["#pipe .plugin.taken", "#plugins > li.taken", "#problems > .taken"] {
      try page.tab.wait("the colour of \(place)", until: "document.querySelector('\(place)') !== null")
    }
    #expect(try page.tab.evaluate("document.querySelectorAll('#panels .out').length").int == 0)
    // The token is known by now.
    try page.click("Release guard", within: "plugins")
    #expect(try page.tab.evaluate("document.activeElement.id").string == "confirm-cancel")
    try page.click("Release guard", within: "confirm")
    try page.host.waitFor(plugin: "guard", state: "active")
    try page.click("Bypass all")
    #expect(try page.tab.evaluate("document.querySelector('#confirm .main').id").string == "confirm-cancel")
    try page.click("Bypass all", within: "confirm")
    try wait("the bypass") { try page.host.get("/health").json["bypass"].string == "all" }
    try page.tab.wait(
      "the bypass",
      until: "document.getElementById('verdict-text').innerText === 'All middleware is bypassed'")
    let log = page.host.log
    #expect(log.contains("quarantine guard, from the diagnostics page"), "\(log)")
    #expect(!log.contains(DiagnosticsPage.token))
  }

  @Test("without an admin token the page has no buttons, and says which commands do the same")
  func noButtons() throws {
    let page = try DiagnosticsPage()
    let names = try page.tab.evaluate(
      "[...document.querySelectorAll('button')].filter(b => b.checkVisibility()).map(b => b.innerText)")
    #expect(names.array.compactMap(\.string) == ["Latest", "Failed", "Hold still"])
    #expect(try page.text(of: "switches-note").contains("bulkhead quarantine NAME"))
  }

  @Test("with diagnostics = token the page asks for the token, and shows nothing before")
  func token() throws {
    let page = try DiagnosticsPage(
      "diagnostics = token", "admin-token = \(DiagnosticsPage.token)", isReady: false)
    try page.tab.wait("the form", until: "!document.getElementById('sign-in').hidden")
    let hidden = try page.tab.text()
    #expect(!hidden.contains("guard"), "\(hidden)")
    #expect(try page.tab.evaluate("document.activeElement.id").string == "sign-in-token")
    try page.type("wrong")
    try page.tab.press("Enter", code: 13, text: "\r")
    try page.tab.wait(
      "the refusal", until: "document.getElementById('sign-in-error').innerText.includes('did not take')")
    try page.type(DiagnosticsPage.token)
    try page.tab.press("Enter", code: 13, text: "\r")
    try page.waitUntilLive()
    #expect(try page.text(of: "verdict-text") == "All is well: 2 plugins serve")
    // A reload keeps it; another tab does not know it.
    try page.tab.navigate(to: page.address)
    try page.waitUntilLive()
    #expect(try page.tab.evaluate("localStorage.length").int == 0)
    #expect(try page.tab.evaluate("document.cookie").string == "")
  }

  @Test("a rejected configuration is shown with its error, and what serves stays well")
  func rejectedConfiguration() throws {
    let page = try DiagnosticsPage()
    try page.host.rewrite(HostSettings(host: "no-such-key = 1", plugins: DiagnosticsPage.plugins))
    try page.tab.wait(
      "the error", until: "document.getElementById('problems').innerText.includes('no-such-key')")
    #expect(try page.tab.evaluate("document.getElementById('verdict').className").string == "warn")
    #expect(try page.text(of: "verdict-text").contains("rejected"))
    try page.host.rewrite(HostSettings(plugins: DiagnosticsPage.plugins))
    try page.tab.wait("all well", until: "document.getElementById('verdict').className === 'good'")
  }

  @Test("a change that is held is shown with whom it would cost and what to do, and what serves stays well")
  func heldChange() throws {
    let page = try DiagnosticsPage()
    try page.host.rewrite(HostSettings(plugins: ""))
    try page.tab.wait(
      "what is held", until: "document.getElementById('problems').innerText.includes('dropped: ')")
    #expect(try page.tab.evaluate("document.getElementById('verdict').className").string == "warn")
    #expect(try page.text(of: "verdict-text") == "A change is held; what was before serves on")
    let problem = try page.text(of: "problems")
    for text in ["the file names no plugin any more", "bulkhead reload --force", "when a file changes"] {
      #expect(problem.contains(text), "\(problem)")
    }
    #expect(!problem.contains("by itself"), "\(problem)")
    #expect(try page.text(of: "pipe").contains("guard"))
    try page.host.rewrite(HostSettings(plugins: DiagnosticsPage.plugins))
    try page.tab.wait("all well", until: "document.getElementById('verdict').className === 'good'")
    #expect(try page.tab.complaints() == [])
  }

  @Test(
    "a library that is held is named once, with the digests of both, and that it is tried again by itself")
  func heldLibrary() throws {
    let directory = try TemporaryDirectory()
    let library = try directory.copy(ReleaseBuild.library("FaultPlugin"), as: "libApp.so")
    let page = try DiagnosticsPage(
      plugins: Section.plugin("app", library: library, ["mount = /app", "recover = 1h"]))
    let digest = try #require(try page.host.plugin("app")["sha256"].string)
    try directory.write("libApp.so", Array("no library at all".utf8), mode: 0o755)
    try page.tab.wait(
      "what is held", until: "document.getElementById('problems').innerText.includes('app: load-failed: ')")
    #expect(try page.text(of: "verdict-text") == "A change is held; what was before serves on")
    let problem = try page.text(of: "problems")
    for text in ["app serves with \(digest.prefix(12))", "is held", "by itself"] {
      #expect(problem.contains(text), "\(problem)")
    }
    #expect(try page.text(of: "plugins").contains("active"))
  }

  @Test("while plugins start the page says so, then who has failed and when it is started again")
  func starting() throws {
    let directory = try TemporaryDirectory()
    let library = try BrokenPlugin.sabotaged("FaultPlugin", in: directory)
    try directory.write("sabotage", "start hang")
    let page = try DiagnosticsPage(
      "start-timeout = 20s",
      plugins: Section.plugin("app", library: library, ["mount = /app", "recover = 1h"])
        + Section.fault("fault", mount: "/fault"), in: directory, waitsForPlugins: false)
    #expect(try page.text(of: "verdict-text") == "The plugins are still starting")
    #expect(try page.tab.evaluate("document.getElementById('verdict').className").string == "bad")
    #expect(try page.text(of: "pipeline-note") == "starting: no plugin runs yet")
    #expect(try page.text(of: "problems").contains("503 starting"))
    try page.tab.wait(
      "the failed plugin", within: .seconds(60),
      until: "document.getElementById('verdict-text').innerText.startsWith('app is out: it has failed')")
    let problem = try page.text(of: "problems")
    for text in [
      "start-timeout of 20s", "It is started again, beside what serves, at ", "bulkhead release app",
    ] {
      #expect(problem.contains(text), "\(problem)")
    }
    #expect(try page.tab.complaints() == [])
  }

  @Test("a host that is gone is said to be gone, and one that is back to be back")
  func lostHost() throws {
    let page = try DiagnosticsPage()
    page.host.process.send(signal: SIGSTOP)
    let worker = try page.host.worker().pid
    kill(worker, SIGSTOP)
    try page.tab.wait(
      "the loss", until: "document.getElementById('verdict-text').innerText === 'The host does not answer'")
    #expect(try page.tab.evaluate("document.title").string?.contains("does not answer") == true)
    #expect(try page.text(of: "verdict-hint").hasPrefix("No answer since "))
    let style =
      try page.tab.evaluate(
        """
        (() => {
          const panels = getComputedStyle(document.getElementById('panels'));
          const number = getComputedStyle(document.querySelector('.tile .now'));
          const title = getComputedStyle(document.querySelector('#panels h2'), '::after');
          return [panels.filter, number.textDecorationLine, title.content].join(' | ');
        })()
        """
      ).string ?? ""
    #expect(style.hasPrefix("grayscale(1) | line-through | \"as of "), "\(style)")
    page.host.process.send(signal: SIGCONT)
    kill(worker, SIGCONT)
    try page.tab.wait("the return", until: "document.getElementById('verdict').className === 'good'")
  }

  @Test("a plugin in front of everything that is out leads with what it costs")
  func everythingIsOut() throws {
    let page = try DiagnosticsPage(
      plugins: Section.fault("guard", mount: "/guard", "recover = never") + Section.fault())
    try page.crash("request")
    try page.tab.wait(
      "the damage", until: "document.getElementById('damage').innerText === 'All routes answer 503'")
    let first = try page.tab.evaluate(
      "document.getElementById('verdict').innerText.trim().split('\\n')[0]")
    #expect(first.string == "All routes answer 503")
  }

  @Test("a probe that fails stands among the problems, with what came in place of the answer")
  func failedProbe() throws {
    let page = try DiagnosticsPage("probe = GET /nothing 200")
    #expect(try page.text(of: "verdict-text") == "The probe GET /nothing fails")
    let problem = try page.text(of: "problems")
    for text in ["GET /nothing was answered 404, not 200", "/health/ready answers 503"] {
      #expect(problem.contains(text), "\(problem)")
    }
    #expect(try page.tab.complaints() == [])
  }

  @Test("a fault's last words, and that it is collateral, are among its details")
  func faultDetails() throws {
    let page = try DiagnosticsPage()
    try page.tab.evaluate(
      """
      heard.faults([{id: 'f1', plugin: 'fault', reason: 'tampered', message: 'it took SIGSEGV', at: '2026-01-02T03:04:05Z',
        generation: 1, backtrace: [], collateral: true, last_words: 'free(): <b>invalid</b> pointer'}])
      """)
    try page.tab.evaluate("document.getElementById('fault-f1').open = true")
    let details = try page.text(of: "faults")
    for text in [
      "tampered", "it took SIGSEGV", "Collateral", "not held against", "free(): <b>invalid</b> pointer",
    ] {
      #expect(details.contains(text), "\(details)")
    }
    #expect(try page.tab.complaints() == [])
  }

  @Test("a plugin that blocks loops is said to, with what to do, and is none the less in service")
  func blocksLoops() throws {
    let directory = try TemporaryDirectory()
    let library = try BrokenPlugin.compile("slow", in: directory)
    let page = try DiagnosticsPage(
      plugins: Section.plugin("slow", library: library, ["mount = /slow", "paths = /slow"]), in: directory)
    #expect(try page.tab.evaluate("document.querySelectorAll('#plugin-slow .slow').length").int == 0)
    #expect(try page.host.get("/slow/take", headers: [("X-Slow-Route", "300")]).status == 200)
    try page.tab.wait(
      "the advice",
      until:
        "document.querySelector('#plugin-slow .slow')?.innerText.includes('make it blocking or async') === true"
    )
    #expect(try page.tab.evaluate("document.getElementById('verdict').className").string == "good")
    // It is no more than the next ten seconds, while it is not slow again.
    try page.tab.wait(
      "the advice to go", within: .seconds(30), until: "document.querySelector('#plugin-slow .slow') === null"
    )
    #expect(try page.tab.complaints() == [])
  }

  @Test("text of plugins is shown as text, and never run")
  func hostileText() throws {
    let page = try DiagnosticsPage()
    _ = try page.host.get(
      "/fault/%3Cimg%20src=x%20onerror=alert(1)%3E", headers: [("X-Request-Id", "a-b"), ("X-Fault", "throw")])
    try page.tab.wait(
      "the request", until: "document.getElementById('requests').innerText.includes('onerror')")
    #expect(try page.tab.evaluate("document.querySelectorAll('#panels img').length").int == 0)
    #expect(try page.tab.complaints() == [])
  }
}
