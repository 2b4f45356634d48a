import Foundation

/// The build that system tests drive: `.build/release` of this package, or where `BULKHEAD_BINARY` says; or, within
/// `$tree.withValue`, another tree.
public enum ReleaseBuild {
  /// Where a host's files lie, and how it is started.
  public struct Tree: Sendable {
    public var binary: String
    /// Where the plugins' libraries stand.
    public var pluginPath: String
    /// A command that the binary and its arguments are handed to, and that becomes it; empty for none.
    public var launcher: [String] = []
    /// Directories from which no process of a host may have mapped anything: `HostProcess` looks after each start.
    public var forbidden: [String] = []

    public init(
      binary: String, pluginPath: String, launcher: [String] = [], forbidden: [String] = []
    ) {
      self.binary = binary
      self.pluginPath = pluginPath
      self.launcher = launcher
      self.forbidden = forbidden
    }

    /// The executable to be started, and its arguments, for these arguments of the binary.
    public func command(_ arguments: [String]) -> (executable: String, arguments: [String]) {
      let words = launcher + [binary] + arguments
      return (words[0], Array(words.dropFirst()))
    }
  }

  /// What the tests of this task drive.
  @TaskLocal public static var tree = Tree(
    binary: builtBinary, pluginPath: (builtBinary as NSString).deletingLastPathComponent)

  /// The package's root, two levels above this file's folder.
  public static let packageRoot: String = {
    var url = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
    for _ in 0..<3 { url.deleteLastPathComponent() }
    return url.path
  }()

  /// What `BULKHEAD_BINARY` names, this package's release build, or `bulkhead` in the path.
  private static let builtBinary: String = {
    let environment = ProcessInfo.processInfo.environment
    let own = "\(packageRoot)/.build/release/bulkhead"
    if let named = environment["BULKHEAD_BINARY"] { return named }
    guard !FileManager.default.isExecutableFile(atPath: own) else { return own }
    let path = (environment["PATH"] ?? "").split(separator: ":").map { "\($0)/bulkhead" }
    return path.first { FileManager.default.isExecutableFile(atPath: $0) } ?? own
  }()

  /// The host's executable.
  public static var binary: String { tree.binary }

  /// Where the plugins' libraries stand: beside the executable, where it was built.
  public static var pluginPath: String { tree.pluginPath }

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
    let command = tree.command(arguments)
    return try run(command.executable, command.arguments, environment: environment, within: limit)
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
