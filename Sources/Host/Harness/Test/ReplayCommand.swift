import Glibc

/// `bulkhead test LIB --replay ID`: runs a fault of the ledger again, from the request that stands beside its record.
///
/// The plugin is started with the settings of its section in the configuration. Credentials are not in the ledger, so
/// the companion sets an identity that may call the route; the request's body is not there either.
enum ReplayCommand {
  static func run(_ id: String, _ library: HarnessLibrary, _ options: TestOptions) -> ExitStatus {
    let configuration = ConfigurationLocation.path(given: options.configuration)
    let search = HostSearch(stateDirectory: nil, configuration: options.configuration)
    let ledger = FaultLedger.directory(
      in: search.directory { access("\(FaultLedger.directory(in: $0))/\(id).json", F_OK) == 0 })
    guard let record = FaultLedger.read(id, in: ledger) else {
      let hint = NearestName.hint(for: id, among: FaultLedger.ids(in: ledger))
      Output.complain("there is no fault \(id.quotedForMessage) in \(ledger)\(hint)")
      return .no
    }
    let request: [UInt8]
    do throws(FileContents.Failure) {
      request = try FileContents.read("\(ledger)/\(id)\(FaultLedger.requestSuffix)", limit: CaseFile.maximum)
    } catch {
      Output.complain("\(id) has no request to replay, which \(error): \(record["message"].string ?? "")")
      return .unavailable
    }
    return replay(id, record, request, configuration, library, options)
  }

  private static func replay(
    _ id: String, _ record: JSONValue, _ request: [UInt8], _ configuration: String, _ library: HarnessLibrary,
    _ options: TestOptions
  ) -> ExitStatus {
    let text: String
    switch caseText(id, record, request, configuration) {
    case .failure(let errors):
      for error in errors.errors { Output.complain("\(error)") }
      return .configuration
    case .success(let made): text = made
    }
    var job = HarnessJob(kind: .runCase)
    job.library = library.path
    job.pluginPath = library.pluginPath
    job.settings = options.settings
    job.timeLimit = options.timeLimit
    let began = Clock.monotonic()
    var result = HarnessResult(
      name: "fault \(id): \(record["reason"].string ?? "?") in \(record["request"].string ?? "?")",
      place: "\(id)\(FaultLedger.requestSuffix)", took: .zero)
    do throws(SystemError) {
      let directory = try TemporaryDirectory()
      defer { directory.remove() }
      job.file = "\(directory.path)/replay.case"
      try StateDirectory.replace(job.file, with: Array(text.utf8))
      result.failure = TestCommand.failure(of: try job.run(within: options.timeLimit), file: job.file)
      // The lines are those of a file that nobody has written.
      result.failure?.place = nil
    } catch {
      result.failure = HarnessResult.Failure(message: "\(error)")
    }
    result.took = .nanoseconds(Int64(clamping: Clock.monotonic() &- began))
    let summary = HarnessSummary(library: library.path, subject: library.subject, results: [result])
    if !options.json {
      let written = Output.print("\(library.subject) (\(library.path))\n" + HarnessSummary.text(result))
      guard written == .success else { return written }
    }
    return TestCommand.finish(
      summary, suite: "bulkhead.replay.\(library.name)", json: options.json, junit: options.junit)
  }

  /// The record as a case: it passes if the plugin does not fail, and the status is below 500.
  static func caseText(
    _ id: String, _ record: JSONValue, _ request: [UInt8], _ configuration: String
  ) -> Result<String, ConfigurationErrors> {
    let bytes: [UInt8]
    do throws(FileContents.Failure) {
      bytes = try FileContents.read(configuration, limit: ConfigurationText.maximumFile, waits: true)
    } catch {
      return .failure(
        ConfigurationErrors([ConfigurationError(path: configuration, message: "\(error)")]))
    }
    let directory = FilePaths(ofFile: HarnessLibrary.absolute(configuration)).directory
    let text = ConfigurationText(
      reading: bytes, path: configuration,
      substitution: Substitution(environment: Environment.all, directory: directory))
    guard text.errors.isEmpty else { return .failure(ConfigurationErrors(text.errors)) }
    let name = record["plugin"].string ?? ""
    let section = text.sections.first { $0.kind == "plugin" && $0.name == name }
    var lines = ["[plugin]"]
    for entry in section?.entries ?? [] where !["library", "sha256", "mode"].contains(entry.key) {
      lines.append("\(entry.key) = \(ConfigurationText.quoted(entry.value))")
    }
    lines += ["", "[case \(id)]", ""]
    let head = String(decoding: request, as: UTF8.self).split(separator: "\r\n").map(String.init)
    // METHOD TARGET HTTP/1.1
    lines.append(head.first.map { $0.split(separator: " ").prefix(2).joined(separator: " ") } ?? "GET /")
    lines.append("@identity replay")
    let own = ["host", "connection", "content-length", "transfer-encoding", "x-request-id"]
    lines += head.dropFirst().filter { field in
      let fieldName = field.prefix { $0 != ":" }.lowercased()
      return !own.contains(fieldName)
    }
    lines += ["", "HTTP *", ""]
    return .success(lines.joined(separator: "\n"))
  }
}
