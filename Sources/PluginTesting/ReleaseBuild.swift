import Foundation

/// The build that system tests drive: `.build/release` of this package, or where `BULKHEAD_BINARY` says.
public enum ReleaseBuild {
  /// The package's root, two levels above this file's folder.
  public static let packageRoot: String = {
    var url = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
    for _ in 0..<3 { url.deleteLastPathComponent() }
    return url.path
  }()

  /// The host's executable: what `BULKHEAD_BINARY` names, this package's release build, or `bulkhead` in the path.
  public static let binary: String = {
    let environment = ProcessInfo.processInfo.environment
    let own = "\(packageRoot)/.build/release/bulkhead"
    if let named = environment["BULKHEAD_BINARY"] { return named }
    guard !FileManager.default.isExecutableFile(atPath: own) else { return own }
    let path = (environment["PATH"] ?? "").split(separator: ":").map { "\($0)/bulkhead" }
    return path.first { FileManager.default.isExecutableFile(atPath: $0) } ?? own
  }()

  /// Where the plugins' libraries stand: beside the executable.
  public static let pluginPath: String = (binary as NSString).deletingLastPathComponent

  /// The path of a plugin's library: `CORSPlugin` is `libCORSPlugin.so`.
  public static func library(_ name: String) -> String { "\(pluginPath)/lib\(name).so" }

  /// This process's environment without what would steer a host: its switches, PORT, all of BULKHEAD_, and what is loaded
  /// into this process beforehand.
  public static var cleanEnvironment: [String: String] {
    ProcessInfo.processInfo.environment.filter { name, _ in
      ![
        "PORT", "BYPASS_ALL_MIDDLEWARE", "DISABLE_HEAVY_MIDDLEWARE", "LD_PRELOAD", "MAKEFLAGS", "MAKELEVEL",
        "MFLAGS",
      ].contains(name)
        && !name.hasPrefix("BULKHEAD_")
    }
  }

  /// Runs one command of the binary to its end, in a directory of its own.
  ///
  /// - Throws: `HarnessError.timedOut` if it does not end in time; it is killed then.
  public static func run(
    _ arguments: [String], environment: [String: String] = [:], within limit: Duration = .seconds(60)
  ) throws -> CommandResult {
    try run(binary, arguments, environment: environment, within: limit)
  }

  /// Runs any command to its end.
  public static func run(
    _ executable: String, _ arguments: [String], environment: [String: String] = [:],
    within limit: Duration = .seconds(60)
  ) throws -> CommandResult {
    let directory = try TemporaryDirectory()
    let child = try ChildProcess(
      executable, arguments, environment: cleanEnvironment.merging(environment) { $1 },
      directory: directory.path,
      name: "command")
    let status = try child.waitForExit(within: limit)
    return CommandResult(status: status, output: child.output, errors: child.errors)
  }
}
