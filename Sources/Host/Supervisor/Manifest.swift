/// What the supervisor tells a worker about the generation it is to be: lines of `key value`, an empty line, and the
/// text of the configuration as the supervisor has checked it, so that an edit in between changes nothing.
struct Manifest: Sendable {
  var generation = 1
  /// As given on the command line, for messages.
  var configurationPath = "plugins.conf"
  /// The texts of the listeners, in the order of their descriptors.
  var listeners: [String] = []
  /// SHA-256 of libraries, by path.
  var digests: [(path: String, sha256: String)] = []
  /// Plugins that took the worker before down.
  var culprits: [Culprit] = []
  /// Built-ins and CORS only.
  var isBare = false
  var configuration: [UInt8] = []

  struct Culprit: Sendable, Equatable {
    var plugin: String
    var reason: Quarantine.Reason
    /// It fell while it was loaded or started: it is not tried again before the configuration changes.
    var isFatal: Bool
    /// How often it has done so since it last served well: each time the back-off doubles.
    var count: Int
    var message: String
  }

  /// The descriptors that a worker finds open.
  enum Descriptors {
    static let control: Int32 = 3
    static let sharedMemory: Int32 = 4
    static let manifest: Int32 = 5
    static let firstListener: Int32 = 6
  }

  var bytes: [UInt8] {
    var lines = ["generation \(generation)", "path \(configurationPath)"]
    lines += listeners.map { "listener \($0)" }
    lines += digests.map { "digest \($0.sha256) \($0.path)" }
    lines += culprits.map {
      let message = $0.message.split(whereSeparator: \.isNewline).joined(separator: "; ")
      return "culprit \($0.plugin) \($0.reason.rawValue) \($0.isFatal ? "fatal" : "serving") \($0.count) \(message)"
    }
    if isBare { lines.append("bare") }
    return Array((lines.joined(separator: "\n") + "\n\n").utf8) + configuration
  }

  init() {}

  /// Nil if the bytes are no manifest: the worker was not started by a supervisor.
  init?(_ bytes: [UInt8]) {
    guard let end = bytes.indices.dropLast().first(where: { bytes[$0] == 0x0a && bytes[$0 + 1] == 0x0a }) else {
      return nil
    }
    configuration = Array(bytes[(end + 2)...])
    for line in String(decoding: bytes[..<end], as: UTF8.self).split(separator: "\n") {
      let parts = line.split(separator: " ", maxSplits: 1).map(String.init)
      let value = parts.count > 1 ? parts[1] : ""
      switch parts[0] {
      case "generation":
        guard let number = Int(value) else { return nil }
        generation = number
      case "path": configurationPath = value
      case "listener": listeners.append(value)
      case "digest":
        let pair = value.split(separator: " ", maxSplits: 1).map(String.init)
        guard pair.count == 2 else { return nil }
        digests.append((pair[1], pair[0]))
      case "culprit":
        let words = value.split(separator: " ", maxSplits: 4, omittingEmptySubsequences: false).map(String.init)
        guard words.count == 5, let reason = Quarantine.Reason(rawValue: words[1]), let count = Int(words[3]) else {
          return nil
        }
        culprits.append(
          Culprit(plugin: words[0], reason: reason, isFatal: words[2] == "fatal", count: count, message: words[4]))
      case "bare": isBare = true
      default: return nil
      }
    }
  }
}
