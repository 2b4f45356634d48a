/// Whether the configuration, with the libraries that it names, is what serves as its files are now.
enum ConfigurationStatus: Sendable, Equatable {
  case active
  /// The file has errors, and changes nothing.
  case rejected(String)
  /// The files make sense, but would take something out of service that serves: they are not taken.
  case held(Held)

  struct Held: Sendable, Equatable {
    /// One reason each.
    var items: [Item]
    /// Libraries that are not taken, by plugin, and what serves in their place.
    var rolledBack: [String: RollBack.Change] = [:]
  }

  struct Item: Sendable, Equatable {
    /// Nil if it is about no plugin alone.
    var plugin: String?
    /// A reason of `Quarantine.Reason`, or `dropped` or `half-written`.
    var reason: String
    var message: String

    static let dropped = "dropped"
    static let halfWritten = "half-written"
  }

  var name: String {
    switch self {
    case .active: "active"
    case .rejected: "rejected"
    case .held: "held"
    }
  }

  /// What people are told; nil if all is well.
  var error: String? {
    switch self {
    case .active: nil
    case .rejected(let text): text
    case .held(let held): held.text
    }
  }

  var held: Held? { if case .held(let held) = self { held } else { nil } }
}

extension ConfigurationStatus.Held {
  /// A line for each reason.
  var text: String { items.map(\.text).joined(separator: "\n") }
}

extension ConfigurationStatus.Item {
  var text: String { (plugin.map { "\($0): " } ?? "") + "\(reason): \(message)" }
}

// MARK: As JSON

extension ConfigurationStatus {
  /// In bytes of a message that is told to workers: what fits into a packet with all others.
  static let messageLimit = 1000
  static let errorLimit = 32 << 10

  /// The members `status`, `error` and `held` of an object.
  func write(to json: inout JSONWriter) {
    json.field("status", name)
    json.field("error", error)
    json.array("held") { array in
      for item in held?.items ?? [] {
        array.object {
          $0.field("plugin", item.plugin)
          $0.field("reason", item.reason)
          $0.field("message", item.message)
        }
      }
    }
  }

  /// What one process tells the other: one line, of bounded length.
  var wire: String {
    var json = JSONWriter()
    json.object { object in
      switch self {
      case .active: object.field("status", name)
      case .rejected(let text):
        object.field("status", name)
        object.field("error", text.prefix(utf8: ConfigurationStatus.errorLimit))
      case .held(let held):
        object.field("status", name)
        object.array("held") { array in
          for item in held.items.prefix(ConfigurationFile.maximumPlugins) {
            array.object {
              $0.field("plugin", item.plugin)
              $0.field("reason", item.reason)
              $0.field("message", item.message.prefix(utf8: ConfigurationStatus.messageLimit))
            }
          }
        }
        object.object("rolled_back") { changes in
          for (plugin, change) in held.rolledBack.sorted(by: { $0.key < $1.key }) {
            changes.object(plugin) { change.write(to: &$0) }
          }
        }
      }
    }
    return json.text
  }

  /// Nil for what `wire` never says.
  init?(wire: String) {
    guard let json = JSONValue(parsing: Array(wire.utf8)) else { return nil }
    switch json["status"].string {
    case "active": self = .active
    case "rejected":
      guard let error = json["error"].string else { return nil }
      self = .rejected(error)
    case "held":
      let items = json["held"].array.map { item in
        Item(
          plugin: item["plugin"].string, reason: item["reason"].string ?? "",
          message: item["message"].string ?? "")
      }
      var changes: [String: RollBack.Change] = [:]
      for member in json["rolled_back"].members {
        guard let to = member.value["to"].string else { return nil }
        changes[member.name] = RollBack.Change(from: member.value["from"].string, to: to)
      }
      self = .held(Held(items: items, rolledBack: changes))
    default: return nil
    }
  }
}

extension String {
  /// Its beginning, of at most so many bytes, cut between two characters of Unicode.
  func prefix(utf8 limit: Int) -> String {
    guard utf8.count > limit else { return self }
    var end = utf8.index(utf8.startIndex, offsetBy: limit)
    while end > utf8.startIndex, !end.isScalarBoundary(in: self) { end = utf8.index(before: end) }
    return String(self[..<end])
  }
}

extension String.Index {
  fileprivate func isScalarBoundary(in text: String) -> Bool {
    // In UTF-8 every byte of a scalar but its first is 10xxxxxx.
    self == text.endIndex || text.utf8[self] & 0xC0 != 0x80
  }
}
