import Foundation

/// The real release binary, serving a configuration of the test's own in a temporary directory.
///
///     let host = try HostProcess(HostSettings(plugins: "[plugin hello]\nlibrary = HelloPlugin\nmount =
///     /hello"))
///     let answer = try host.get("/hello")
///
/// It is stopped, and its directory removed, when the value goes. One thread at a time.
public final class HostProcess {
  /// Where its files are: plugins.conf, host.err (its log), state/.
  public let directory: TemporaryDirectory
  /// What it listens on, in the order of the file, ports as the kernel chose them.
  public private(set) var endpoints: [Endpoint] = []
  public let process: ChildProcess

  public var configurationPath: String { directory.path + "/plugins.conf" }
  public var stateDirectory: String { directory.path + "/state" }
  /// The log so far.
  public var log: String { process.errors }

  /// Starts the host, and waits until it serves with its plugins.
  ///
  /// - Parameters:
  ///   - settings: what `plugins.conf` says.
  ///   - directory: a directory in which the test has laid files already, or that an earlier host has left.
  ///   - environment: added to that of the test, from which whatever steers a host has been taken.
  ///   - arguments: further ones for `bulkhead run`.
  ///   - waitsForPlugins: false to go on once the host listens, when it may still answer without its plugins.
  ///   - starter: a program that becomes the host, by exec(3), with its first arguments: `unshare(1)`, a shell. The host's
  ///     own command line follows.
  ///   - limit: how long it may take to be ready.
  /// - Throws: `HarnessError.didNotStart` with the log.
  public convenience init(
    _ settings: HostSettings = HostSettings(), in directory: TemporaryDirectory? = nil,
    environment: [String: String] = [:], arguments: [String] = [], starter: [String] = [],
    waitsForPlugins: Bool = true,
    within limit: Duration = .seconds(30)
  ) throws {
    let directory = try directory ?? TemporaryDirectory()
    try self.init(
      configuration: settings.text(stateDirectory: directory.path + "/state"),
      listeners: settings.listen.count,
      in: directory, environment: environment, arguments: arguments, starter: starter,
      waitsForPlugins: waitsForPlugins, within: limit)
  }

  /// The same with the whole text of `plugins.conf`, and the number of listeners to wait for.
  public init(
    configuration: String, listeners: Int, in directory: TemporaryDirectory,
    environment: [String: String] = [:],
    arguments: [String] = [], starter: [String] = [], waitsForPlugins: Bool = true,
    within limit: Duration = .seconds(30)
  ) throws {
    self.directory = directory
    try directory.write("plugins.conf", configuration)
    let tree = ReleaseBuild.tree
    let command = tree.command(["run", "--config", directory.path + "/plugins.conf"] + arguments)
    let line = starter + [command.executable] + command.arguments
    process = try ChildProcess(
      line[0], Array(line.dropFirst()),
      environment: ReleaseBuild.cleanEnvironment.merging(environment) { $1 }, directory: directory.path,
      name: "host")
    let deadline = Deadline(after: limit)
    while endpoints.count < listeners {
      let ended = process.exitStatus()
      endpoints = HostProcess.listening(in: process.errors)
      if endpoints.count >= listeners { break }
      if ended != nil || deadline.hasPassed {
        throw HarnessError.didNotStart(exit: ended, log: process.errors)
      }
      usleep(3000)
    }
    // A request counts, and is logged: none is sent to a host that was ready at once.
    while waitsForPlugins, listeners > 0,
      process.errors.contains(HostProcess.standInNotice) || configuration.contains("log-level = error"),
      try get("/health").json["status"].string == "starting"
    {
      guard !deadline.hasPassed else { throw HarnessError.didNotStart(exit: nil, log: process.errors) }
      usleep(3000)
    }
    for path in RunningProcess.mappedFiles(ofFamily: process.pid) {
      if let place = tree.forbidden.first(where: { path.hasPrefix($0 + "/") }) {
        throw HarnessError.system(call: "start of the host", reason: "\(path) is mapped, of \(place)")
      }
    }
  }

  /// What the log says when the host answers before its plugins have started.
  private static let standInNotice = "answers without plugins while they start"

  deinit {
    // The test has judged already: what counts here is that nothing is left running.
    _ = try? stop()  // lint: allow
  }

  /// The addresses that the log says it listens on, once each.
  static func listening(in log: String) -> [Endpoint] {
    var found: [Endpoint] = []
    for line in log.split(separator: "\n") {
      guard let range = line.range(of: "bulkhead: listening on "),
        // In JSON the string ends with the address.
        let endpoint = Endpoint(line[range.upperBound...].prefix { $0 != "\"" })
      else { continue }
      if !found.contains(endpoint) { found.append(endpoint) }
    }
    return found
  }

  /// Ends the host: SIGTERM, and SIGKILL if it has not gone by the deadline.
  ///
  /// - Returns: how it ended. A host that had to be killed is `.killed(signal: SIGKILL)`.
  @discardableResult
  public func stop(within limit: Duration = .seconds(40)) throws -> ExitStatus {
    process.send(signal: SIGTERM)
    do {
      return try process.waitForExit(within: limit)
    } catch HarnessError.timedOut {
      process.send(signal: SIGKILL)
      return try process.waitForExit(within: .seconds(10))
    }
  }

  /// Replaces the configuration file through a rename, as editors do; the host notices by itself.
  public func rewrite(_ settings: HostSettings) throws {
    try directory.write("plugins.conf", settings.text(stateDirectory: stateDirectory))
  }

  // MARK: Talking to it

  /// A new connection to one of its listeners.
  public func connect(listener: Int = 0, timeout: Duration = .seconds(20), receiveBuffer: Int? = nil) throws
    -> HTTPConnection
  {
    try HTTPConnection(endpoints[listener], timeout: timeout, receiveBuffer: receiveBuffer)
  }

  /// One request on a connection of its own.
  public func send(
    _ method: String, _ target: String, headers: [(String, String)] = [], body: [UInt8]? = nil
  ) throws -> HTTPResponse {
    try connect().request(method, target, headers: headers, body: body)
  }

  public func get(_ target: String, headers: [(String, String)] = []) throws -> HTTPResponse {
    try send("GET", target, headers: headers)
  }

  /// One request with a JSON body.
  public func send(
    _ method: String, _ target: String, json: String, headers: [(String, String)] = []
  ) throws -> HTTPResponse {
    try send(
      method, target, headers: headers + [("Content-Type", "application/json")], body: Array(json.utf8))
  }

  // MARK: What it says of itself

  /// The serving worker's process id and generation, by `/__version`.
  public func worker() throws -> (pid: pid_t, generation: Int) {
    let version = try get("/__version").json
    guard let pid = version["pid"].int, let generation = version["generation"].int else {
      throw HarnessError.malformed("/__version without pid and generation: \(version)")
    }
    return (pid_t(pid), generation)
  }

  /// `/__diag/plugins`, whole.
  public func diagnostics() throws -> JSONValue { try get("/__diag/plugins").json }

  /// One plugin in `/__diag/plugins`; `.null` if there is none of that name.
  public func plugin(_ name: String) throws -> JSONValue { try diagnostics()["plugins"][name, by: "name"] }

  /// Waits until a plugin is in `state`, as `/__diag/plugins` has it.
  ///
  /// - Returns: the plugin's entry.
  @discardableResult
  public func waitFor(plugin name: String, state: String, within limit: Duration = .seconds(15)) throws
    -> JSONValue
  {
    var last = JSONValue.null
    do {
      try wait("\(name) to be \(state)", within: limit) {
        last = try plugin(name)
        return last["state"].string == state
      }
    } catch HarnessError.timedOut(let what) {
      throw HarnessError.timedOut("\(what); it is \(last)")
    }
    return last
  }

  /// A command of the binary against this host's control socket.
  public func command(_ arguments: String...) throws -> CommandResult {
    try ReleaseBuild.run(arguments + ["--config", configurationPath])
  }
}
