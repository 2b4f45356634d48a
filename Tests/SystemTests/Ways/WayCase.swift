/// The fixture that misbehaves, and thereby its section, its mount and its library.
enum WayPlugin: String, CaseIterable, Sendable {
  case c, cxx, rust
  /// The C one again, with the timeouts that hold when nothing is set.
  case cUsual = "c-usual"
  /// Rust whose panics go on into the host.
  case rustUnwinds = "rust-unwinds"
  /// Rust that was built with `panic=abort`.
  case rustAborts = "rust-aborts"

  var section: String { "way-\(rawValue)" }
}

/// When it does it.
enum WayPhase: String, Sendable {
  // As a request says.
  case request, response, route, blocking, pull, thread, timer
  // As its settings say; the constructor, as a file says.
  case start, selftest, stop, constructor, load
}

/// What must come of it.
enum WayResult: Sendable {
  /// The plugin stays active, without a fault.
  case harmless
  /// The plugin is out, with one of these reasons.
  case out(Set<String>)
  /// It cannot always be told: harmless, or out with one of these reasons.
  case maybe(Set<String>)

  static func out(_ reasons: String...) -> WayResult { .out(Set(reasons)) }
  static func maybe(_ reasons: String...) -> WayResult { .maybe(Set(reasons)) }

  var reasons: Set<String> {
    switch self {
    case .harmless: []
    case .out(let reasons), .maybe(let reasons): reasons
    }
  }

  var text: String {
    let words = reasons.sorted().joined(separator: "|")
    switch self {
    case .harmless: return "harmless"
    case .out: return words
    case .maybe: return "(\(words))"
    }
  }
}

/// What is asked afterwards, of another plugin in the same worker: it must go as if nothing had been.
struct WayAftermath: Sendable {
  var plugin: WayPlugin
  var way: String
  /// What the plugin must come to by it.
  var result: WayResult
}

/// One way to misbehave, and what must come of it.
struct WayCase: Sendable {
  var name: String
  var plugin: WayPlugin
  var phase: WayPhase
  var result: WayResult
  /// The process ends, and its connections with it: they may break, and nothing may be refused or lost besides.
  var endsWorker = false
  /// How long `/health` may wait, in milliseconds.
  var patience = 1000
  /// What the record's message has to hold.
  var mentions: String?
  var aftermath: WayAftermath?
  /// Its settings say so, and not a request, though the phase is one that a request could name.
  var isBySettings = false
  /// The host is of no use to others afterwards.
  var spoilsHost = false
  /// Why no more can be expected than is.
  var note = ""

  var title: String { "\(plugin.rawValue) \(name) in \(phase.rawValue)" }
}

extension WayCase {
  /// Cases of one plugin with one result, in each of the phases.
  static func each(
    _ names: String, _ plugin: WayPlugin = .c, in phases: WayPhase..., is result: WayResult
  ) -> [WayCase] {
    names.split(separator: " ").flatMap { name in
      phases.map { WayCase(name: String(name), plugin: plugin, phase: $0, result: result) }
    }
  }
}

extension [WayCase] {
  /// The process ends by it.
  var ending: [WayCase] { with { $0.endsWorker = true } }

  func with(_ change: (inout WayCase) -> Void) -> [WayCase] {
    map { each in
      var each = each
      change(&each)
      return each
    }
  }

  /// By settings.
  var bySettings: [WayCase] { with { $0.isBySettings = true } }

  func note(_ text: String) -> [WayCase] { with { $0.note = text } }
  func patient(_ milliseconds: Int) -> [WayCase] { with { $0.patience = milliseconds } }
  func mentions(_ text: String) -> [WayCase] { with { $0.mentions = text } }
  func then(_ plugin: WayPlugin, _ way: String, _ result: WayResult) -> [WayCase] {
    with { $0.aftermath = WayAftermath(plugin: plugin, way: way, result: result) }
  }
}
