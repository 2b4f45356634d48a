import Foundation
import PluginTesting

/// One tab: what it shows, what it does, and what it complained of.
public final class BrowserTab {
  private let pipe: DevToolsPipe
  private let session: String
  private let journal = Journal()

  /// What the tab has said so far.
  private final class Journal {
    var complaints: [String] = []
    var failures: [NetworkFailure] = []
    var urls: [String: String] = [:]
    var loads = 0
  }

  /// A request that came to nothing, as the browser saw it.
  public struct NetworkFailure: Sendable, Equatable {
    public let url: String
    /// `net::ERR_FAILED` and such.
    public let error: String
    /// Why the browser kept the answer from the page, as the protocol names it; nil if CORS was not the reason.
    public let cors: String?
  }

  init(pipe: DevToolsPipe, session: String) throws {
    self.pipe = pipe
    self.session = session
    pipe.heard.append { [journal] from, method, parameters in
      guard from == session else { return }
      BrowserTab.note(method, parameters, in: journal)
    }
    for domain in ["Page", "Runtime", "Network", "Log"] { try call("\(domain).enable") }
  }

  private static func note(_ method: String, _ parameters: JSONValue, in journal: Journal) {
    switch method {
    case "Runtime.exceptionThrown":
      let details = parameters["exceptionDetails"]
      journal.complaints.append(
        "uncaught: \(details["exception"]["description"].string ?? details["text"].string ?? "?")")
    case "Runtime.consoleAPICalled":
      guard let kind = parameters["type"].string, ["error", "warning", "assert"].contains(kind) else {
        return
      }
      let words = parameters["args"].array.map { $0["value"].string ?? $0["description"].string ?? "\($0)" }
      journal.complaints.append("console.\(kind): \(words.joined(separator: " "))")
    case "Log.entryAdded":
      let entry = parameters["entry"]
      guard let level = entry["level"].string, ["error", "warning"].contains(level) else { return }
      journal.complaints.append(
        "\(entry["source"].string ?? "log"): \(entry["text"].string ?? "?") \(entry["url"].string ?? "")")
    case "Network.requestWillBeSent":
      if let id = parameters["requestId"].string {
        journal.urls[id] = parameters["request"]["url"].string
      }
    case "Network.loadingFailed":
      // Cancelled by the page, or let go of by the browser once the page had read all of it.
      guard parameters["canceled"].bool != true else { return }
      journal.failures.append(
        NetworkFailure(
          url: parameters["requestId"].string.flatMap { journal.urls[$0] } ?? "?",
          error: parameters["errorText"].string ?? "?",
          cors: parameters["corsErrorStatus"]["corsError"].string))
    case "Page.loadEventFired": journal.loads += 1
    default: break
    }
  }

  /// A command of the protocol, for what has no method of its own here.
  @discardableResult
  public func call(_ method: String, _ parameters: [String: Any] = [:]) throws -> JSONValue {
    try pipe.call(method, parameters, session: session)
  }

  // MARK: What it shows

  /// Goes to `url`, and waits until it is loaded.
  public func navigate(to url: String, within limit: Duration = .seconds(60)) throws {
    let before = journal.loads
    let reply = try call("Page.navigate", ["url": url])
    if let error = reply["errorText"].string, !error.isEmpty {
      throw HarnessError.malformed("\(url): \(error)")
    }
    let deadline = Deadline(after: limit)
    while journal.loads == before {
      if deadline.hasPassed { throw HarnessError.timedOut("\(url) to load") }
      try pipe.listen(before: deadline)
    }
  }

  /// The value of a JavaScript expression; a promise is waited for.
  ///
  /// - Throws: `HarnessError.malformed` with what the script threw.
  @discardableResult
  public func evaluate(_ expression: String) throws -> JSONValue {
    let reply = try call(
      "Runtime.evaluate",
      ["expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true])
    let details = reply["exceptionDetails"]
    if details != .null {
      let text = details["exception"]["description"].string ?? details["text"].string ?? "\(details)"
      throw HarnessError.malformed("\(expression): \(text)")
    }
    return reply["result"]["value"]
  }

  /// Waits until a JavaScript expression is true.
  public func wait(_ what: String, within limit: Duration = .seconds(30), until expression: String) throws {
    let deadline = Deadline(after: limit)
    while try evaluate("Boolean(\(expression))").bool != true {
      if deadline.hasPassed { throw HarnessError.timedOut("\(what); the page shows: \(try text())") }
      try pipe.listen(before: min(deadline, Deadline(after: .milliseconds(30))))
    }
  }

  /// The text that is to be seen.
  public func text() throws -> String { try evaluate("document.body.innerText").string ?? "" }

  /// A PNG of what is to be seen, or of the whole page.
  public func screenshot(wholePage: Bool = false) throws -> [UInt8] {
    let reply = try call("Page.captureScreenshot", ["format": "png", "captureBeyondViewport": wholePage])
    guard let data = reply["data"].string.flatMap({ Data(base64Encoded: $0) }) else {
      throw HarnessError.malformed("Page.captureScreenshot: \(reply)")
    }
    return [UInt8](data)
  }

  // MARK: How it is looked at

  /// The window's size in CSS pixels; `isMobile` gives it a telephone's layout.
  public func resize(width: Int, height: Int, isMobile: Bool = false) throws {
    try call(
      "Emulation.setDeviceMetricsOverride",
      ["width": width, "height": height, "deviceScaleFactor": 1, "mobile": isMobile])
  }

  /// What media queries answer, as `["prefers-color-scheme": "dark"]`.
  public func prefer(_ features: [String: String]) throws {
    try call(
      "Emulation.setEmulatedMedia", ["features": features.map { ["name": $0.key, "value": $0.value] }])
  }

  /// Presses and lets go one key, as `Tab` or `Enter`.
  public func press(_ key: String, code: Int, text: String? = nil) throws {
    var down: [String: Any] = [
      "type": text == nil ? "rawKeyDown" : "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code,
    ]
    down["text"] = text
    try call("Input.dispatchKeyEvent", down)
    try call(
      "Input.dispatchKeyEvent",
      ["type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code])
  }

  // MARK: What went wrong

  /// Errors and warnings of the console, and exceptions that nobody caught.
  public func complaints() throws -> [String] {
    try settle()
    return journal.complaints
  }

  public func failures() throws -> [NetworkFailure] {
    try settle()
    return journal.failures
  }

  /// The browser answers in order: with this reply, what it said before has been heard.
  private func settle() throws { try evaluate("0") }
}

private func min(_ first: Deadline, _ second: Deadline) -> Deadline {
  first.remaining < second.remaining ? first : second
}
