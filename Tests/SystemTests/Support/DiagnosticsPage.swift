import BrowserTesting
import PluginTesting

/// A host, and its page at `/__diag/` in a browser.
final class DiagnosticsPage {
  let host: HostProcess
  private let browser: Chromium
  let tab: BrowserTab

  static let token = "let-me-act-1"

  /// - Parameters:
  ///   - lines: further ones of `[host]`.
  ///   - width: of the window, in CSS pixels.
  ///   - isReady: wait until the page shows the host's state.
  ///   - directory: of the host; a new one if nil.
  ///   - waitsForPlugins: false to look at the page while plugins start.
  init(
    _ lines: String..., plugins: String = DiagnosticsPage.plugins, width: Int = 1280, height: Int = 900,
    isReady: Bool = true, in directory: TemporaryDirectory? = nil, waitsForPlugins: Bool = true
  ) throws {
    browser = try Chromium()
    host = try HostProcess(
      HostSettings(host: lines.joined(separator: "\n"), plugins: plugins), in: directory,
      waitsForPlugins: waitsForPlugins)
    tab = try browser.open()
    try tab.resize(width: width, height: height, isMobile: width < 500)
    try tab.navigate(to: address)
    if isReady { try waitUntilLive() }
  }

  var address: String { "http://\(host.endpoints[0])/__diag/" }

  func waitUntilLive() throws {
    try tab.wait(
      "the page to be live",
      until: "document.getElementById('link').className === 'link live' && known.status && known.sample")
  }

  /// A guard before everything, and a router; neither comes back by itself.
  static let plugins =
    Section.fault("guard", mount: "/guard", "paths = /fault", "recover = never")
    + Section.fault("fault", mount: "/fault", "recover = never")

  /// The text that is to be seen within an element.
  func text(of id: String) throws -> String {
    try tab.evaluate("document.getElementById('\(id)').innerText").string ?? ""
  }

  /// Clicks the only visible button of this name, as assistive technology has it.
  ///
  /// - Parameter within: the id of an element that it is in; an open dialog hides what is behind it.
  func click(_ name: String, within id: String? = nil) throws {
    let count = try tab.evaluate(
      """
      (() => {
        const root = document.getElementById('\(id ?? "")') ?? document.querySelector('dialog[open]') ?? document;
        const found = [...root.querySelectorAll('button')].filter(button =>
          button.checkVisibility() && (button.getAttribute('aria-label') ?? button.innerText.trim()) === '\(name)');
        if (found.length === 1) found[0].click();
        return found.length;
      })()
      """)
    guard count.int == 1 else {
      throw HarnessError.malformed("\(count) buttons are '\(name)': \(try tab.text())")
    }
  }

  /// Types into the field that has the focus.
  func type(_ text: String) throws { try tab.call("Input.insertText", ["text": text]) }

  /// Crashes a plugin by a request through it.
  func crash(_ phase: String = "route", kind: String = "trap") throws {
    _ = try host.get("/fault/echo", headers: [("X-Fault", kind), ("X-Fault-Phase", phase)])
  }
}
