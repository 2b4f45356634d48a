/// What a plugin is called, for operators and for the ledger of faults.
public struct PluginDescription: Sendable {
  /// The plugin's own name, in kebab-case. The section of `plugins.conf` may call an instance otherwise.
  public let name: StaticString
  /// Semantic Versioning 2.0.0, e.g. `"1.4.0"`.
  public let version: StaticString
  /// One line.
  public let summary: StaticString

  public init(name: StaticString, version: StaticString, summary: StaticString = "") {
    self.name = name
    self.version = version
    self.summary = summary
  }
}

/// What every plugin is: a value or a final class that the host makes once a generation, and calls from several threads
/// at a time.
///
/// Conform to ``Middleware``, to ``Router``, or to both; and export the type from a file of its own:
///
/// ```swift
/// import PluginAPI
/// @c(bulkhead_plugin) public func bulkheadPlugin() -> PluginTable? { PluginTable.of(Hello.self) }
/// ```
///
/// Errors thrown by any of its functions stay within the plugin: the SDK hands the host a status and a message.
/// A trap (`fatalError`, an index out of range, …) takes the plugin out, and not the host.
public protocol Plugin: Sendable {
  /// The plugin's own settings, decoded from its section of `plugins.conf`.
  associatedtype Settings: PluginSettings = NoSettings

  /// Read when the library is loaded, before anything is started.
  static var plugin: PluginDescription { get }

  /// Opens what the plugin needs: files, databases, metrics, shared regions.
  ///
  /// Thread: main. An error makes the plugin `failed` with the reason `start-failed` and the error's description as the
  /// message; ``stop()`` is not called then.
  init(_ start: Start<Settings>) throws

  /// Checks, after ``init(_:)`` and before the first request, that the plugin does what it promises. Leaves nothing
  /// behind that a client could see. By default there is nothing to check.
  ///
  /// Thread: main. An error counts as a failed start.
  func selfTest() throws

  /// Closes what was opened. No other call is under way, and none follows; not called when the process ends by force.
  ///
  /// Thread: main.
  func stop()
}

extension Plugin {
  public func selfTest() throws {}
  public func stop() {}
}

/// What a plugin is started with.
public struct Start<Settings: Sendable>: Sendable {
  public let settings: Settings
  /// The host's services, valid until ``Plugin/stop()`` has returned. Copy it into the plugin to keep it.
  public let host: Host
  /// Of the section in `plugins.conf`: `[plugin NAME]`.
  public let name: String
  /// Where the plugin's routes lie: `/api/v1/auth`, without a slash at its end; empty if none.
  public let mount: String
  /// An absolute path of a directory that is the plugin's own.
  public let stateDirectory: String
  /// Of the worker, from 1.
  public let generation: Int
  /// How many loop threads will call the plugin at once.
  public let loopCount: Int
}
