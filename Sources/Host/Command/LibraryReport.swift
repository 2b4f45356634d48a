/// What a library says of itself, as `bulkhead inspect` hands it from a process of its own to the one that asked.
///
/// One record a line, fields between tabs. In a field a backslash, a tab, a line feed and a carriage return are
/// written `\\`, `\t`, `\n` and `\r`. Records, in this order:
///
///     plugin   NAME VERSION SUMMARY ABI KIND CAPABILITIES        ; capabilities by comma
///     setting  NAME TYPE FLAGS DEFAULT CHOICES HELP              ; flags by comma: required, secret, repeatable;
///                                                                ; default "=TEXT", or "-"; choices by "|"
///     loaded                                                     ; what follows needs the plugin to start
///     route    METHOD PATTERN ACCESS EXECUTION BODY              ; loop or pool; whole or streamed
///     failed   REASON MESSAGE                                    ; instead of what could not be done
///     end
///
/// A report without `end` comes from a process that ended too soon: the library took it along.
struct LibraryReport: Sendable, Equatable {
  struct Route: Sendable, Equatable {
    var method: String
    /// Below the plugin's mount.
    var pattern: String
    /// `public`, `authenticated` or `role:NAME`.
    var access: String
    /// `loop` or `pool`.
    var execution: String
    /// `whole`, or `streamed`: the handler reads it as it arrives.
    var body = "whole"
  }

  struct Problem: Sendable, Equatable {
    /// In the configuration.
    var line: Int
    var message: String
  }

  struct Failure: Error, Sendable, Equatable {
    /// As in `Quarantine.Reason`.
    var reason: String
    var message: String
  }

  struct Plugin: Sendable, Equatable {
    var name: String
    /// Of the plugin, by Semantic Versioning.
    var version: String
    var summary: String
    /// Major and minor: `1.0`.
    var abi: String
    /// `middleware`, `router`, `middleware+router` or `none`.
    var kind: String
    var capabilities: [String]
  }

  /// Nil if the library could not be loaded.
  var plugin: Plugin?
  var settings: [SettingSchema] = []
  /// All of `plugin` and `settings` is there.
  var isLoaded = false
  var routes: [Route] = []
  /// What the plugin finds wrong with the settings that it was asked about.
  var problems: [Problem] = []
  /// Of loading, or of starting if `isLoaded`.
  var failure: Failure?
  var isComplete = false
}

// MARK: Writing

extension LibraryReport {
  /// What is known once the library is loaded.
  var loadedLines: String {
    var text = ""
    if let plugin {
      text += Self.line([
        "plugin", plugin.name, plugin.version, plugin.summary, plugin.abi, plugin.kind,
        plugin.capabilities.joined(separator: ","),
      ])
    }
    for setting in settings {
      let flags = [
        setting.isRequired ? "required" : nil, setting.isSecret ? "secret" : nil,
        setting.isRepeatable ? "repeatable" : nil,
      ].compactMap { $0 }
      text += Self.line([
        "setting", setting.name, setting.type.name, flags.joined(separator: ","),
        setting.defaultText.map { "=\($0)" } ?? "-", setting.choices.joined(separator: "|"), setting.help,
      ])
    }
    return isLoaded ? text + "loaded\n" : text
  }

  /// The rest.
  var finalLines: String {
    var text = ""
    for route in routes {
      text += Self.line(["route", route.method, route.pattern, route.access, route.execution, route.body])
    }
    for problem in problems { text += Self.line(["problem", "\(problem.line)", problem.message]) }
    if let failure { text += Self.line(["failed", failure.reason, failure.message]) }
    return isComplete ? text + "end\n" : text
  }

  private static func line(_ fields: [String]) -> String {
    fields.map(escaped).joined(separator: "\t") + "\n"
  }

  private static func escaped(_ field: String) -> String {
    var text = ""
    for scalar in field.unicodeScalars {
      switch scalar {
      case "\\": text += "\\\\"
      case "\t": text += "\\t"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text
  }
}

// MARK: Reading

extension LibraryReport {
  struct Malformed: Error, Equatable {
    /// From 1.
    var line: Int
  }

  /// Reads a report, which may be cut anywhere: a last line without its end does not count.
  init(reading bytes: [UInt8]) throws(Malformed) {
    var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    lines.removeLast()
    for (index, line) in lines.enumerated() {
      let fields = line.split(separator: UInt8(ascii: "\t"), omittingEmptySubsequences: false).map(
        Self.unescaped)
      guard !isComplete, read(fields) else { throw Malformed(line: index + 1) }
    }
  }

  private mutating func read(_ fields: [String]) -> Bool {
    switch (fields[0], fields.count) {
    case ("plugin", 7):
      plugin = Plugin(
        name: fields[1], version: fields[2], summary: fields[3], abi: fields[4], kind: fields[5],
        capabilities: fields[6].split(separator: ",").map(String.init))
    case ("setting", 7):
      guard let type = SettingSchema.Kind.allCases.first(where: { $0.name == fields[2] }),
        fields[4] == "-" || fields[4].hasPrefix("=")
      else { return false }
      let flags = fields[3].split(separator: ",")
      settings.append(
        SettingSchema(
          name: fields[1], type: type, isRequired: flags.contains("required"),
          isSecret: flags.contains("secret"),
          isRepeatable: flags.contains("repeatable"),
          defaultText: fields[4] == "-" ? nil : String(fields[4].unicodeScalars.dropFirst()),
          choices: fields[5].split(separator: "|").map(String.init), help: fields[6]))
    case ("loaded", 1): isLoaded = true
    case ("route", 6):
      routes.append(
        Route(
          method: fields[1], pattern: fields[2], access: fields[3], execution: fields[4], body: fields[5]))
    case ("problem", 3):
      guard let line = Int(fields[1]) else { return false }
      problems.append(Problem(line: line, message: fields[2]))
    case ("failed", 3): failure = Failure(reason: fields[1], message: fields[2])
    case ("end", 1): isComplete = true
    default: return false
    }
    return true
  }

  private static func unescaped(_ field: ArraySlice<UInt8>) -> String {
    var bytes: [UInt8] = []
    var isEscaped = false
    for byte in field {
      if isEscaped {
        switch byte {
        case UInt8(ascii: "t"): bytes.append(UInt8(ascii: "\t"))
        case UInt8(ascii: "n"): bytes.append(UInt8(ascii: "\n"))
        case UInt8(ascii: "r"): bytes.append(UInt8(ascii: "\r"))
        default: bytes.append(byte)
        }
        isEscaped = false
      } else if byte == UInt8(ascii: "\\") {
        isEscaped = true
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
