import Glibc

/// What a child is to do: a JSON file in a directory of its own, where it keeps its state too.
struct HarnessJob: Sendable, Equatable {
  enum Kind: String, Sendable {
    case runCase = "case"
    case rule, bisect
  }

  var kind: Kind
  /// The plugin's file.
  var library = ""
  /// Where bare names of other libraries are looked up.
  var pluginPath = ""
  /// The plugin's own keys, over those of any file.
  var settings: [RawSetting] = []
  /// A case file and the number of the case in it; or a configuration.
  var file = ""
  var index = 0
  /// Of the rule to check.
  var rule = ""
  /// The plugins to keep.
  var plugins: [String] = []
  /// Of a request that is sent as it is.
  var request: [UInt8] = []
  /// Of a request.
  var identity: TestIdentity?
  /// For one request.
  var timeLimit = Duration.seconds(30)

  static let fileName = "job.json"

  var json: [UInt8] {
    var json = JSONWriter()
    json.object { json in
      json.field("kind", kind.rawValue)
      json.field("library", library)
      json.field("plugin_path", pluginPath)
      json.array("settings") { list in
        for setting in settings {
          list.array {
            $0.element(setting.key)
            $0.element(setting.value)
          }
        }
      }
      json.field("file", file)
      json.field("index", index)
      json.field("rule", rule)
      json.field("plugins", plugins)
      json.array("request") { list in
        for byte in request { list.element(byte) }
      }
      json.field("time_limit_ms", timeLimit.nanoseconds / 1_000_000)
      if let identity {
        json.object("identity") {
          $0.field("subject", identity.subject)
          $0.field("role", identity.role)
        }
      }
    }
    return json.bytes
  }

  init(kind: Kind) { self.kind = kind }

  /// Nil for what is no job.
  init?(_ json: JSONValue) {
    guard let kind = json["kind"].string.flatMap(Kind.init(rawValue:)) else { return nil }
    self.kind = kind
    library = json["library"].string ?? ""
    pluginPath = json["plugin_path"].string ?? ""
    settings = json["settings"].array.map {
      RawSetting(key: $0.array.first?.string ?? "", value: $0.array.last?.string ?? "", line: 0)
    }
    file = json["file"].string ?? ""
    index = json["index"].integer ?? 0
    rule = json["rule"].string ?? ""
    plugins = json["plugins"].array.compactMap(\.string)
    request = json["request"].array.compactMap { $0.integer.map { UInt8(truncatingIfNeeded: $0) } }
    timeLimit = .milliseconds(json["time_limit_ms"].integer ?? 30_000)
    if let subject = json["identity"]["subject"].string {
      identity = TestIdentity(subject: subject, role: json["identity"]["role"].string ?? "")
    }
  }

  /// Runs it in a process of its own, and waits for that.
  ///
  /// - Parameters:
  ///   - timeLimit: for all of it.
  ///   - prepare: puts files into the directory, before.
  func run(
    within timeLimit: Duration, prepare: (String) throws(SystemError) -> Void = { _ throws(SystemError) in }
  ) throws(SystemError) -> ChildOutcome {
    let directory = try TemporaryDirectory()
    defer { directory.remove() }
    try StateDirectory.replace("\(directory.path)/\(HarnessJob.fileName)", with: json)
    try prepare(directory.path)
    var environment = Environment.all
    // A backtrace of the Swift runtime's takes seconds; the harness makes its own.
    environment["SWIFT_BACKTRACE"] = "enable=no"
    MemoryChecker.prepare(&environment)
    for name in ["PORT", "BYPASS_ALL_MIDDLEWARE", "DISABLE_HEAVY_MIDDLEWARE"] { environment[name] = nil }
    return try ChildProcess.run(
      Executable.path, ["harness", "--", directory.path], environment: environment, timeLimit: timeLimit)
  }
}

/// `bulkhead harness DIR`, in a process of its own: does the job in the directory, and reports on descriptor 3.
enum HarnessCommand {
  static func run(_ directory: String) -> ExitStatus {
    let bytes: [UInt8]
    do throws(FileContents.Failure) {
      bytes = try FileContents.read("\(directory)/\(HarnessJob.fileName)", limit: 64 << 20)
    } catch {
      Output.complain("harness: the job \(error)")
      return .usage
    }
    guard let job = JSONValue(parsing: bytes).flatMap(HarnessJob.init) else {
      Output.complain("harness: the job makes no sense")
      return .usage
    }
    let reporter = HarnessReporter()
    do throws(SystemError) {
      switch job.kind {
      case .runCase: try CaseRun(job, directory: directory, reporter).run()
      case .rule: try RuleRun(job, directory: directory, reporter).run()
      case .bisect: try BisectRun(job, directory: directory, reporter).run()
      }
      return .success
    } catch {
      Output.complain("harness: \(error)")
      return .unavailable
    }
  }
}

/// The child's voice: one JSON object a line on descriptor 3, so that a death in between loses nothing.
struct HarnessReporter {
  private let output = FileDescriptor(raw: ChildProcess.reportDescriptor)

  func say(_ body: (inout JSONWriter) -> Void) {
    var json = JSONWriter()
    json.object(body)
    do throws(SystemError) {
      try output.writeAll(json.bytes + [0x0a])
    } catch {
      Output.complain("harness: \(error)")
    }
  }
}

extension ChildOutcome {
  /// What the child said, line by line; a last line without its end does not count.
  var lines: [JSONValue] {
    var lines = report.split(separator: 0x0a, omittingEmptySubsequences: false)
    lines.removeLast()
    return lines.compactMap { JSONValue(parsing: Array($0)) }
  }
}
