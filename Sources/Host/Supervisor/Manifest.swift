/// What the supervisor tells a worker about the generation it is to be: lines of `key value`, an empty line, and the
/// text of the configuration as the supervisor has checked it, so that an edit in between changes nothing.
struct Manifest: Sendable {
  var generation = 1
  /// As given on the command line, for messages.
  var configurationPath = "plugins.conf"
  /// The texts of the listeners, in the order of their descriptors.
  var listeners: [String] = []
  /// In the order of the configuration.
  var plugins: [PluginEntry] = []
  /// Plugins whose section is new, or not what serves: wrong settings in one are an error of the file, and the generation
  /// is not to serve.
  var edited: Set<String> = []
  /// Plugins that took a worker down while it started.
  var culprits: [Culprit] = []
  /// Built-ins and CORS only.
  var isBare = false
  /// It is bare for as long as another generation is prepared.
  var isStandIn = false
  /// A look at what is shared follows each call of a plugin.
  var isVigilant = false
  /// Plugins and the worker may take any time, as under a debugger or a memory checker.
  var isDebugging = false
  /// As the operator has switched it; nil for what the environment says.
  var bypass: Bypass?
  /// Out of readiness, by the operator.
  var isDraining = false
  var logLevel: LogLevel?
  /// Whether the files as they are now are what serves.
  var configurationStatus = ConfigurationStatus.active
  /// The supervisor's process.
  var supervisor: Int32 = 0
  var configuration: [UInt8] = []

  struct PluginEntry: Sendable, Equatable {
    var name: String
    /// Of its state in shared memory; 0 if there was no room for one.
    var stateKey: UInt64
    /// Of what is to be loaded; nil if it is not known.
    var sha256: String?
    /// The private copy to load; nil for the file that the configuration names.
    var copy: String?
    var rolledBack: RollBack.Change?
  }

  struct Culprit: Sendable, Equatable {
    var plugin: String
    var reason: Quarantine.Reason
    var message: String
  }

  /// The descriptors that a worker finds open.
  enum Descriptors {
    static let control: Int32 = 3
    static let sharedMemory: Int32 = 4
    static let manifest: Int32 = 5
    /// Where its log goes. 1 and 2 are what plugins write to.
    static let log: Int32 = 6
    static let firstListener: Int32 = 7
  }

  init() {}

  subscript(plugin name: String) -> PluginEntry? { plugins.first { $0.name == name } }
}

// MARK: Writing

extension Manifest {
  var bytes: [UInt8] {
    var lines: [(key: String, value: String)] = [
      ("generation", "\(generation)"), ("path", configurationPath), ("supervisor", "\(supervisor)"),
    ]
    lines += listeners.map { ("listener", $0) }
    for plugin in plugins {
      let key = String(plugin.stateKey, radix: 16)
      lines.append(("plugin", "\(plugin.name) \(key) \(plugin.sha256 ?? "-") \(plugin.copy ?? "-")"))
      if let change = plugin.rolledBack {
        lines.append(("rolled-back", "\(plugin.name) \(change.from ?? "-") \(change.to)"))
      }
    }
    lines += edited.sorted().map { ("edited", $0) }
    lines += culprits.map { ("culprit", "\($0.plugin) \($0.reason.rawValue) \($0.message)") }
    if isBare { lines.append(("bare", "")) }
    if isStandIn { lines.append(("stand-in", "")) }
    if isVigilant { lines.append(("vigilant", "")) }
    if isDebugging { lines.append(("debug", "")) }
    if let bypass { lines.append(("bypass", bypass.rawValue)) }
    if isDraining { lines.append(("draining", "")) }
    if let logLevel { lines.append(("log-level", "\(logLevel)")) }
    lines.append(("config", configurationStatus.wire))
    let text = lines.map { "\($0.key) \(LineText.escaped($0.value))\n" }.joined()
    return Array((text + "\n").utf8) + configuration
  }
}

// MARK: Reading

extension Manifest {
  /// Nil if the bytes are no manifest: the worker was not started by a supervisor.
  init?(_ bytes: [UInt8]) {
    guard let end = bytes.indices.dropLast().first(where: { bytes[$0] == 0x0a && bytes[$0 + 1] == 0x0a })
    else {
      return nil
    }
    configuration = Array(bytes[(end + 2)...])
    // The text is split by bytes: to a String a carriage return and a line feed are one character.
    for line in bytes[..<end].split(separator: 0x0a) {
      let key = line.prefix { $0 != 0x20 }
      let value = String(decoding: line.dropFirst(key.count + 1), as: UTF8.self)
      guard read(String(decoding: key, as: UTF8.self), LineText.unescaped(value)) else { return nil }
    }
  }

  private mutating func read(_ key: String, _ value: String) -> Bool {
    switch key {
    case "generation":
      guard let number = Int(value) else { return false }
      generation = number
    case "supervisor":
      guard let number = Int32(value) else { return false }
      supervisor = number
    case "path": configurationPath = value
    case "listener": listeners.append(value)
    case "plugin":
      let words = Manifest.words(value, 4)
      guard words.count == 4, let key = UInt64(words[1], radix: 16) else { return false }
      plugins.append(
        PluginEntry(
          name: words[0], stateKey: key, sha256: Manifest.optional(words[2]),
          copy: Manifest.optional(words[3])))
    case "rolled-back":
      let words = Manifest.words(value, 3)
      guard words.count == 3, plugins.last?.name == words[0] else { return false }
      plugins[plugins.count - 1].rolledBack = RollBack.Change(from: Manifest.optional(words[1]), to: words[2])
    case "culprit":
      let words = Manifest.words(value, 3)
      guard words.count == 3, let reason = Quarantine.Reason(rawValue: words[1]) else { return false }
      culprits.append(Culprit(plugin: words[0], reason: reason, message: words[2]))
    case "edited": edited.insert(value)
    case "bare": isBare = true
    case "stand-in": isStandIn = true
    case "vigilant": isVigilant = true
    case "debug": isDebugging = true
    case "bypass":
      guard let found = Bypass(rawValue: value) else { return false }
      bypass = found
    case "draining": isDraining = true
    case "log-level":
      guard let found = LogLevel(text: value) else { return false }
      logLevel = found
    case "config":
      guard let status = ConfigurationStatus(wire: value) else { return false }
      configurationStatus = status
    default: return false
    }
    return true
  }

  private static func words(_ value: String, _ count: Int) -> [String] {
    value.utf8.split(separator: 0x20, maxSplits: count - 1, omittingEmptySubsequences: false)
      .map { String(Substring($0)) }
  }

  private static func optional(_ word: String) -> String? { word == "-" ? nil : word }
}

extension LogLevel {
  /// As it stands in the configuration.
  init?(text: String) {
    guard let found = LogLevel.allCases.first(where: { "\($0)" == text }) else { return nil }
    self = found
  }
}
