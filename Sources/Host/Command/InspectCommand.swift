import Glibc

/// `bulkhead inspect LIB`, in a process of its own: loads one library, and reports on descriptor 3 as `LibraryReport`
/// says. Whatever the library prints goes elsewhere, and whatever it does, only this process ends.
enum InspectCommand {
  static func run(_ options: InspectOptions) -> ExitStatus {
    do throws(SystemError) {
      try inspect(options)
      return .success
    } catch {
      Output.complain("inspect: \(error)")
      return .unavailable
    }
  }

  private static func inspect(_ options: InspectOptions) throws(SystemError) {
    let output = FileDescriptor(raw: ChildProcess.reportDescriptor)
    var report = LibraryReport()
    var opened: PluginLibrary?
    do throws(PluginFailure) {
      try LibraryFile.check(options.library)
      let library = try PluginLibrary.open(options.library)
      opened = library
      report.plugin = LibraryReport.Plugin(
        name: library.name, version: library.version, summary: library.summary,
        abi: "\(library.table.pointee.abi_major).\(library.table.pointee.abi_minor)",
        kind: library.capabilities.kind, capabilities: library.capabilities.names)
      report.settings = library.schema
      report.isLoaded = true
    } catch {
      report.failure = LibraryReport.Failure(reason: error.reason.rawValue, message: error.message)
    }
    // Written before the plugin starts, lest a crash take it along.
    try output.writeAll(Array(report.loadedLines.utf8))
    if report.plugin?.capabilities.contains("routes") == true, let directory = options.stateDirectory {
      try start(options.library, in: directory, &report)
    }
    if let opened, let path = options.configuration, let section = options.section {
      check(section, of: path, opened, &report)
    }
    report.isComplete = true
    try output.writeAll(Array(report.finalLines.utf8))
  }

  /// Asks the plugin about the settings of its section. Those that do not fit its schema are not for it to judge.
  private static func check(
    _ section: String, of path: String, _ library: PluginLibrary, _ report: inout LibraryReport
  ) {
    guard case .success(let configuration) = ConfigurationFile.load(path: path, environment: Environment.all),
      let settings = configuration.plugins.first(where: { $0.name == section })
    else { return }
    let plugin = Plugin(index: 0, configuration: settings, sha256: nil, faults: FaultLog(generation: 1))
    let environment = PluginEnvironment(
      configurationPath: path, stateDirectory: configuration.host.stateDirectory, generation: 1, loopCount: 1,
      host: HostTable.shared, corsSettings: configuration.corsEntries)
    let given = CORSInheritance.settings(
      settings.settings, from: configuration.corsEntries, schema: library.schema,
      decidesCORS: library.capabilities.contains(.decidesCORS))
    guard
      case .success(let values) = SettingsCheck.check(
        given, against: library.schema, path: path, section: section, sectionLine: settings.line)
    else { return }
    report.problems = library.refusals(of: values, to: plugin, environment).map {
      LibraryReport.Problem(line: $0.line ?? 0, message: $0.message)
    }
  }

  /// Starts the plugin as a worker would, with its default settings, to learn its routes.
  private static func start(
    _ path: String, in directory: String, _ report: inout LibraryReport
  ) throws(SystemError) {
    // Regions for this process alone: a plugin that asks for one does not start without.
    SharedMemory.current = try SharedMemory.create()
    let faults = FaultLog(generation: 1)
    var configuration = PluginConfiguration(name: report.plugin?.name ?? "")
    configuration.library = path
    configuration.libraryPath = path
    let plugin = Plugin(index: 0, configuration: configuration, sha256: nil, faults: faults)
    plugin.load(
      environment: PluginEnvironment(
        configurationPath: "its default settings", stateDirectory: directory, generation: 1, loopCount: 1,
        host: HostTable.shared))
    if let fault = faults.last(of: plugin.name) {
      report.failure = LibraryReport.Failure(reason: fault.reason.rawValue, message: fault.message)
      return
    }
    report.routes = plugin.routes.map {
      LibraryReport.Route(
        method: $0.method, pattern: $0.pattern, access: $0.access.text,
        execution: $0.isBlocking ? "pool" : "loop", body: $0.streamedBodyLimit == nil ? "whole" : "streamed")
    }
    plugin.stop()
  }
}

extension PluginLibrary.Capabilities {
  /// As in the header, in lower case.
  fileprivate var names: [String] {
    let all: [(PluginLibrary.Capabilities, String)] = [
      (.request, "request"), (.response, "response"), (.routes, "routes"), (.decidesCORS, "decides-cors"),
      (.authenticates, "authenticates"),
    ]
    return all.filter { contains($0.0) }.map(\.1)
  }
}
