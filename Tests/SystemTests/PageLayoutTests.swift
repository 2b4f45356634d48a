import BrowserTesting
import Foundation
import PluginTesting
import Testing

/// How the page at `/__diag/` looks, and whether everybody can use it.
@Suite("The diagnostics page's layout", .serialized)
struct PageLayoutTests {
  /// Something of everything: a plugin that crashed, one that failed to load, a rejected file.
  private func brokenPage(width: Int, height: Int) throws -> DiagnosticsPage {
    let page = try DiagnosticsPage(
      "admin-token = \(DiagnosticsPage.token)",
      plugins: DiagnosticsPage.plugins
        + Section.plugin("missing-one", library: "NoSuchPlugin", ["paths = /missing"]),
      width: width, height: height)
    try page.crash("request")
    try page.host.waitFor(plugin: "guard", state: "quarantined")
    for path in ["/fault/echo", "/nothing", "/fault/\(String(repeating: "long-", count: 20))"] {
      _ = try page.host.get(path)
    }
    try page.host.rewrite(
      HostSettings(
        host: "a-key-that-nobody-knows-and-that-is-rather-long = 1", plugins: DiagnosticsPage.plugins))
    try page.tab.wait(
      "the broken state",
      until: "document.getElementById('problems').children.length === 3 && known.faults.length >= 2")
    try page.tab.evaluate("document.querySelectorAll('#faults details').forEach(fault => fault.open = true)")
    return page
  }

  /// A picture for whoever wants to look: where `BULKHEAD_SCREENSHOTS` says.
  private func keep(_ tab: BrowserTab, as name: String) throws {
    guard let directory = ProcessInfo.processInfo.environment["BULKHEAD_SCREENSHOTS"] else { return }
    try Data(try tab.screenshot(wholePage: true)).write(to: URL(fileURLWithPath: "\(directory)/\(name).png"))
  }

  @Test(
    "nothing scrolls sideways, from a small telephone to a wide screen", arguments: [360, 768, 1280, 1920])
  func width(_ width: Int) throws {
    let page = try brokenPage(width: width, height: 800)
    let wide = try page.tab.evaluate(
      """
      [...document.querySelectorAll('body *')].filter(node => node.checkVisibility() && !node.closest('pre, svg, .unseen, .skip')
        && (node.getBoundingClientRect().right > innerWidth + 1 || node.getBoundingClientRect().left < -1))
        .map(node => `${node.tagName}.${node.className} ${node.innerText?.slice(0, 40)}`)
      """)
    #expect(wide == .array([]), "\(wide)")
    #expect(try page.tab.evaluate("document.documentElement.scrollWidth <= innerWidth").bool == true)
    // What is broken comes first: it is to be seen without scrolling.
    let top = try page.tab.evaluate("document.getElementById('verdict-title').getBoundingClientRect().bottom")
    #expect(top.number ?? 9999 < 250)
    try keep(page.tab, as: "broken-\(width)")
  }

  @Test("every text has its contrast, in light and in dark", arguments: ["light", "dark"])
  func contrast(scheme: String) throws {
    let page = try brokenPage(width: 1280, height: 900)
    try page.tab.prefer(["prefers-color-scheme": scheme])
    let paper = try page.tab.evaluate("getComputedStyle(document.body).backgroundColor").string
    #expect(paper == (scheme == "dark" ? "rgb(13, 17, 23)" : "rgb(246, 248, 250)"))
    // WCAG 2.2, 1.4.3: 4.5 to 1.
    let poor = try page.tab.evaluate(
      """
      (() => {
        const parse = text => text.match(/[\\d.]+/g).map(Number);
        const light = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
          .reduce((sum, v, at) => sum + v * [.2126, .7152, .0722][at], 0);
        const behind = node => {
          for (; node; node = node.parentElement) {
            const colour = parse(getComputedStyle(node).backgroundColor);
            if (colour.length < 4 || colour[3] > 0) return colour;
          }
        };
        const found = [];
        for (const node of document.querySelectorAll('body *')) {
          const hasText = [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim());
          if (!hasText || !node.checkVisibility() || node.closest('svg, .unseen, script, style')) continue;
          const [a, b] = [light(parse(getComputedStyle(node).color)), light(behind(node))];
          const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
          if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${node.tagName}.${node.className} ${node.innerText.slice(0, 30)}`);
        }
        return found;
      })()
      """)
    #expect(poor == .array([]), "\(poor)")
    try keep(page.tab, as: "broken-\(scheme)")
  }

  @Test("everything is reached by the keyboard, and the focus is to be seen")
  func keyboard() throws {
    let page = try brokenPage(width: 1280, height: 900)
    let wanted =
      try page.tab.evaluate(
        "[...document.querySelectorAll('a, button, summary, input, pre[tabindex]')].filter(node => node.checkVisibility()).length"
      ).int ?? 0
    var met: Set<String> = []
    var first: String?
    for _ in 0..<(wanted + 4) {
      try page.tab.press("Tab", code: 9)
      let focused = try page.tab.evaluate(
        """
        (() => {
          const node = document.activeElement;
          if (node === document.body) return {path: 'body', outline: 'none'};
          const place = [...document.querySelectorAll('*')].indexOf(node);
          return {path: `${place} ${node.tagName} ${node.innerText.slice(0, 20)}`, outline: getComputedStyle(node).outlineStyle};
        })()
        """)
      let path = focused["path"].string ?? "?"
      first = first ?? path
      if path != "body" { #expect(focused["outline"].string == "solid", "no focus to be seen on \(path)") }
      met.insert(path)
    }
    #expect(first?.contains("Skip to what is") == true, "\(first ?? "")")
    #expect(met.count >= wanted, "\(met.count) of \(wanted): \(met.sorted())")
  }

  @Test("landmarks, headings, names: what a screen reader is told")
  func accessibilityTree() throws {
    let page = try brokenPage(width: 1280, height: 900)
    try page.tab.call("Accessibility.enable")
    let nodes = try page.tab.call("Accessibility.getFullAXTree")["nodes"].array.filter {
      $0["ignored"].bool != true
    }
    func all(_ role: String) -> [String] {
      nodes.filter { $0["role"]["value"].string == role }.map { $0["name"]["value"].string ?? "" }
    }
    for landmark in ["banner", "main", "contentinfo"] { #expect(all(landmark).count == 1, "\(landmark)") }
    #expect(all("navigation") == ["The same for programs"])
    for region in ["Pipeline", "Plugins", "Faults", "Requests", "Switches"] {
      #expect(all("region").contains { $0.hasPrefix(region) }, "\(region) in \(all("region"))")
    }
    let unnamed = nodes.filter {
      ["button", "link", "textbox", "img", "image", "heading", "region"].contains(
        $0["role"]["value"].string ?? "")
        && ($0["name"]["value"].string ?? "").isEmpty
    }
    #expect(unnamed.isEmpty, "\(unnamed)")
    // Who hears only the name knows what it does: of one name there are two only if both do the same.
    let ambiguous = try page.tab.evaluate(
      """
      (() => {
        const does = {};
        for (const button of document.querySelectorAll('button')) if (button.checkVisibility()) {
          (does[button.getAttribute('aria-label') ?? button.innerText] ??= new Set()).add(button.dataset.focus ?? button.id);
        }
        return Object.entries(does).filter(([, targets]) => targets.size > 1).map(([name]) => name);
      })()
      """)
    #expect(ambiguous == .array([]), "\(ambiguous)")
    // Only what changes is announced: one polite region, and the errors of the two forms.
    let live = try page.tab.evaluate(
      "document.querySelectorAll('[aria-live], [role=status], [role=alert]').length")
    #expect(live.int == 3)
  }

  @Test("nothing moves for those who do not want it")
  func reducedMotion() throws {
    let page = try DiagnosticsPage()
    try page.tab.wait("it breathes", until: "document.getAnimations().length > 0")
    try page.tab.prefer(["prefers-reduced-motion": "reduce"])
    #expect(try page.tab.evaluate("document.getAnimations().length").int == 0)
  }
}
