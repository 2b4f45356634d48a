/// `bulkhead run`: checks the configuration, and becomes the supervisor.
enum RunCommand {
  /// - Parameter isDebugging: whether plugins and workers may take any time, as under a debugger or a memory checker.
  static func run(configurationPath: String, listenOverride: String?, isDebugging: Bool = false) -> ExitStatus
  {
    // A listener is a descriptor here and in each worker.
    OpenFileLimit.raise()
    let source: ConfigurationSource
    switch ConfigurationSource.read(configurationPath, listenOverride: listenOverride, waits: true) {
    case .failure(let errors):
      Output.complain(errors.description)
      return .configuration
    case .success(let found): source = found
    }
    let host = source.configuration.host
    Log.shared.configure(level: host.logLevel, format: host.logFormat)
    do throws(SystemError) {
      let supervisor = try Supervisor(
        source: source, path: configurationPath, listenOverride: listenOverride,
        isDebugging: isDebugging)
      if isDebugging {
        Log.shared.write(
          .warning, "--debug: no plugin is late, and no worker counts as standing still. Not for production")
      }
      let record = HostRecord.write(
        HostRecord.Entry(
          configuration: HostRecord.key(ofConfiguration: configurationPath),
          stateDirectory: host.stateDirectory))
      defer { record?.remove() }
      return ExitStatus(rawValue: supervisor.run()) ?? .no
    } catch {
      Output.complain("bulkhead: \(error)")
      return .unavailable
    }
  }
}
