/// `bulkhead run`: checks the configuration, and becomes the supervisor.
enum RunCommand {
  static func run(configurationPath: String, listenOverride: String?) -> ExitStatus {
    let source: ConfigurationSource
    switch ConfigurationSource.read(configurationPath, listenOverride: listenOverride) {
    case .failure(let errors):
      Log.complain(errors.description)
      return .configuration
    case .success(let found): source = found
    }
    let host = source.configuration.host
    Log.shared.configure(level: host.logLevel, format: host.logFormat)
    if case .failure(let errors) = Bypass.requested(by: Environment.all) {
      Log.complain(errors.description)
      return .configuration
    }
    do throws(SystemError) {
      let supervisor = try Supervisor(
        configuration: source.configuration, text: source.text, path: configurationPath,
        listenOverride: listenOverride)
      return ExitStatus(rawValue: supervisor.run()) ?? .no
    } catch {
      Log.complain("bulkhead: \(error)")
      return .unavailable
    }
  }
}

extension Log {
  /// A line for whoever ran the command.
  static func complain(_ text: String) {
    Array((text + "\n").utf8).withUnsafeBytes { emit($0) }
  }
}
