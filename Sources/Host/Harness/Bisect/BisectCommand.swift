import Glibc

/// `bulkhead bisect REQUEST`: finds the fewest plugins with which a request breaks.
enum BisectCommand {
  /// What one run came to.
  struct Outcome: Sendable, Equatable {
    /// Nil if no answer came.
    var status: Int?
    /// Of the plugin that failed, in short.
    var fault: String?
    /// Why there is no answer.
    var error: String?

    var text: String {
      [status.map(String.init) ?? error ?? "no answer", fault].compactMap { $0 }.joined(separator: ", ")
    }
  }

  struct Run: Sendable, Equatable {
    var plugins: [String]
    var outcome: Outcome
    var breaks: Bool
  }

  static func run(_ options: BisectOptions) -> ExitStatus {
    let configuration: Configuration
    let path = ConfigurationLocation.path(given: options.configuration)
    switch ConfigurationFile.load(path: path, environment: Environment.all) {
    case .failure(let errors):
      Output.complain(errors.description)
      return .configuration
    case .success(let found): configuration = found
    }
    let request: [UInt8]
    do throws(FileContents.Failure) {
      request = try BisectRequest.bytes(options)
    } catch {
      Output.complain("\(options.request[0]) \(error)")
      return .usage
    }
    do throws(SystemError) {
      var search = Search(configuration, request, options)
      return try search.run()
    } catch {
      Output.complain("\(error)")
      return .unavailable
    }
  }

  /// The search, and what it has found so far.
  struct Search {
    private let options: BisectOptions
    private let configuration: Configuration
    private let request: [UInt8]
    private var runs: [Run] = []

    init(_ configuration: Configuration, _ request: [UInt8], _ options: BisectOptions) {
      self.options = options
      self.configuration = configuration
      self.request = request
    }

    mutating func run() throws(SystemError) -> ExitStatus {
      let all = configuration.plugins.filter { $0.mode != .off }.map(\.name)
      let whole = try outcome(with: all)
      guard breaks(whole, like: nil) else {
        runs.append(Run(plugins: all, outcome: whole, breaks: false))
        return finish(nil, whole)
      }
      runs.append(Run(plugins: all, outcome: whole, breaks: true))
      let guilty = try DeltaDebugging.minimal(of: all) { subset throws(SystemError) in
        if let known = runs.first(where: { $0.plugins == subset }) { return known.breaks }
        let outcome = try self.outcome(with: subset)
        let isBroken = breaks(outcome, like: whole)
        runs.append(Run(plugins: subset, outcome: outcome, breaks: isBroken))
        return isBroken
      }
      return finish(guilty, runs.last { $0.plugins == guilty }?.outcome ?? whole)
    }

    /// - Parameter whole: with every plugin. A status that is merely not the expected one must be the same: without a
    ///   router any path is 404.
    private func breaks(_ outcome: Outcome, like whole: Outcome?) -> Bool {
      if let expected = options.expected {
        guard outcome.status != expected else { return false }
        return whole.map { $0.status == outcome.status } ?? true
      }
      return outcome.status.map { $0 >= 500 } ?? true || outcome.fault != nil
    }

    private func outcome(with plugins: [String]) throws(SystemError) -> Outcome {
      var job = HarnessJob(kind: .bisect)
      job.file = configuration.path
      job.plugins = plugins
      job.request = request
      job.timeLimit = options.timeLimit
      let state = configuration.host.stateDirectory
      let ended = try job.run(within: options.timeLimit + .seconds(15)) { directory throws(SystemError) in
        try StateCopy.make(of: state, at: "\(directory)/\(BisectRun.stateDirectory)")
      }
      guard let line = ended.lines.first else {
        return Outcome(error: "the worker \(ended.howItEnded)")
      }
      let fault = line["fault"]
      let words = fault["plugin"].string.map {
        "\($0) \(fault["reason"].string ?? "failed"): \(fault["message"].string ?? "")"
      }
      return Outcome(status: line["status"].integer, fault: words, error: line["error"].string)
    }

    // MARK: Rendering

    private func finish(_ guilty: [String]?, _ outcome: Outcome) -> ExitStatus {
      let status: ExitStatus = guilty == nil ? .success : .no
      return Output.print(options.json ? json(guilty, outcome) : text(guilty, outcome), then: status)
    }

    private var requestLine: String {
      String(decoding: request.prefix { $0 != 0x0d && $0 != 0x0a }, as: UTF8.self)
    }

    private func text(_ guilty: [String]?, _ outcome: Outcome) -> String {
      let meaning =
        options.expected.map { "any status but \($0)" } ?? "500 and above, a plugin that fails, or no answer"
      var text = "\(requestLine)\nbroken is: \(meaning)\n"
      text += HelpText.table(
        runs.map { run in
          let names = run.plugins.isEmpty ? "(none)" : run.plugins.joined(separator: " ")
          return ("\(run.breaks ? "broken" : "ok    ")  \(run.outcome.text)", "with \(names)")
        })
      switch guilty {
      case nil: text += "\nnothing breaks it\n"
      case []?: text += "\nbroken without any plugin: by the host, or the request itself: \(outcome.text)\n"
      case let names?:
        let together = names.count > 1 ? ", which break it together" : ""
        text += "\nbroken by \(names.joined(separator: " and "))\(together): \(outcome.text)\n"
      }
      return text
    }

    private func json(_ guilty: [String]?, _ outcome: Outcome) -> String {
      var json = JSONWriter()
      json.object { json in
        json.field("request", requestLine)
        json.field("breaks", guilty != nil)
        json.field("plugins", guilty ?? [])
        json.object("outcome") { BisectCommand.write(outcome, to: &$0) }
        json.array("runs") { list in
          for run in runs {
            list.object {
              $0.field("plugins", run.plugins)
              $0.field("breaks", run.breaks)
              BisectCommand.write(run.outcome, to: &$0)
            }
          }
        }
      }
      return json.text + "\n"
    }
  }

  private static func write(_ outcome: Outcome, to json: inout JSONWriter) {
    json.field("status", outcome.status)
    json.field("fault", outcome.fault)
    json.field("error", outcome.error)
  }
}

/// The request to bisect, as bytes that ask for the connection to be closed.
enum BisectRequest {
  static func bytes(_ options: BisectOptions) throws(FileContents.Failure) -> [UInt8] {
    guard options.request.count == 1 else {
      var head = "\(options.request[0]) \(options.request[1]) HTTP/1.1\r\n"
      for field in options.fields { head += "\(field)\r\n" }
      let body = Array((options.body ?? "").utf8)
      if !body.isEmpty { head += "Content-Length: \(body.count)\r\n" }
      return completed(Array((head + "\r\n").utf8) + body)
    }
    return completed(try FileContents.read(options.request[0], limit: 64 << 20, waits: true))
  }

  /// With Host and `Connection: close`; lines that end in LF alone are ended as HTTP wants it.
  static func completed(_ bytes: [UInt8]) -> [UInt8] {
    let blank = bytes[...].firstRange(of: "\r\n\r\n") ?? bytes[...].firstRange(of: "\n\n")
    let headBytes = bytes[..<(blank?.lowerBound ?? bytes.count)]
    let body = blank.map { bytes[$0.upperBound...] } ?? []
    var lines = String(decoding: headBytes, as: UTF8.self).split(whereSeparator: \.isNewline).map(String.init)
    func has(_ name: String) -> Bool { lines.contains { $0.lowercased().hasPrefix(name) } }
    if !has("host:") { lines.append("Host: bisect") }
    lines.removeAll { $0.lowercased().hasPrefix("connection:") }
    lines.append("Connection: close")
    return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + body
  }
}

/// A copy of the host's state for one run, which may then do to it what it likes.
enum StateCopy {
  /// In bytes, for all of it; past this the run begins with what has been copied.
  private static let limit = 256 << 20
  /// What belongs to the running host.
  private static let hosts: Set<String> = ["faults", "good", "lock", "control.sock"]

  static func make(of source: String, at target: String) throws(SystemError) {
    try StateDirectory.make(target)
    var room = limit
    for name in StateDirectory.entries(of: source) where !hosts.contains(name) {
      try copy("\(source)/\(name)", "\(target)/\(name)", &room)
    }
  }

  /// Files and directories; sockets, pipes and links are left out.
  private static func copy(_ source: String, _ target: String, _ room: inout Int) throws(SystemError) {
    var status = stat()
    guard lstat(source, &status) == 0 else { return }
    switch status.st_mode & S_IFMT {
    case S_IFDIR:
      try StateDirectory.make(target)
      for name in StateDirectory.entries(of: source) {
        try copy("\(source)/\(name)", "\(target)/\(name)", &room)
      }
    case S_IFREG:
      guard Int(status.st_size) <= room else { return }
      room -= Int(status.st_size)
      let input = FileDescriptor(raw: try checked("open \(source)") { open(source, O_RDONLY | O_CLOEXEC) })
      defer { input.close() }
      try StateDirectory.replace(target, with: try input.readAll())
    default: break
    }
  }
}
