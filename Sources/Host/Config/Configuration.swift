import CORSPolicy

/// One configuration, whole and valid: what `plugins.conf` says, with every default filled in.
///
/// Settings of plugins are still text here; they are checked against the plugin's schema once its library is loaded.
struct Configuration: Sendable {
  /// Of the file, as it was named.
  var path = ""
  var host = HostConfiguration()
  /// The built-in policy of `[cors]`; nil if the file has no such section: then no origin is allowed.
  var cors: CORSPolicy?
  /// The text behind `cors`, for diagnostics.
  var corsSettings: CORSConfiguration?
  /// What stands in `[cors]`, for plugins that take it over (`CORSInheritance`); empty if there is no policy.
  var corsEntries: [RawSetting] = []
  /// In the order of the file, which is the order of the pipeline.
  var plugins: [PluginConfiguration] = []
  /// What the environment asks for; not in the file.
  var bypass = Bypass.off
}

/// The `[host]` section.
struct HostConfiguration: Sendable {
  var listen: [ListenAddress] = []
  /// Of the files of Unix sockets; nil for what the umask leaves.
  var socketMode: UInt32?
  /// Number of event loops; nil for one per core.
  var threads: Int?
  var pluginPath = ".build/release"
  var stateDirectory = ".bulkhead"
  var diagnostics = DiagnosticsAccess.loopback
  /// Whoever has it may switch plugins from the diagnostics page; nil for nobody.
  var adminToken: String?
  var trustedProxies: [AddressPrefix] = []
  var logFormat = LogFormat.text
  var logLevel = LogLevel.info
  var maxHead = 16 << 10
  var maxBody = 1 << 20
  var headTimeout = Duration.seconds(10)
  var bodyTimeout = Duration.seconds(30)
  var idleTimeout = Duration.seconds(75)
  var drainTimeout = Duration.seconds(30)
  var requestTimeout = Duration.seconds(60)
  /// The time that a plugin has to load and start, unless it has a `startTimeout` of its own.
  var startTimeout = Duration.seconds(10)
  var probes: [Probe] = []
  /// Resident bytes past which the worker is recycled; 0 for never.
  var maxResidentSize = 0
}

/// An address to listen on.
enum ListenAddress: Sendable, Hashable {
  /// `text` is a numeric address without brackets.
  case ipv4(String, port: UInt16)
  case ipv6(String, port: UInt16)
  case unix(path: String)
}

/// Who may see `/__diag`.
enum DiagnosticsAccess: Sendable, Equatable {
  case loopback, `public`, off
  case token(String)
}

enum LogFormat: String, Sendable, CaseIterable { case text, json }

enum LogLevel: Int, Sendable, CaseIterable, Comparable {
  case error, warning, info, debug
  static func < (a: LogLevel, b: LogLevel) -> Bool { a.rawValue < b.rawValue }
}

/// A request that must be answered with `status` before a generation serves.
struct Probe: Sendable, Equatable {
  var method: String
  var target: String
  var status: Int
}

/// One `[plugin NAME]` section.
struct PluginConfiguration: Sendable {
  var name: String
  /// As written: a bare name, or a path.
  var library = ""
  /// The file that `library` stands for: NAME is plugin-path/libNAME.so.
  var libraryPath = ""
  /// Begins with '/', without a trailing one: empty for `/` itself. Nil if the section has none: its routes stand where
  /// they say, and it answers for nothing else.
  var mount: String?
  var appliesTo = Scope.routes
  /// The section has `applies-to`, `paths` or `except`: it is about middleware.
  var declaresScope = false
  /// Normalised patterns, by segment; empty for every path.
  var paths: [PathPattern] = []
  var except: [PathPattern] = []
  var onFailure = FailurePolicy.closed
  /// Nil for the default: 2 s in middleware, 30 s in a route.
  var timeout: Duration?
  /// The time that it has to load and start; nil for the host's.
  var startTimeout: Duration?
  var quarantineAfter = FaultThreshold(count: 1, window: .zero)
  /// Nil for never.
  var recover: Backoff? = Backoff(initial: .seconds(1), maximum: .seconds(60))
  var probation = Duration.seconds(60)
  var isHeavy = false
  var isRequired = false
  var mode = PluginMode.enforce
  /// The pinned digest: 64 lower-case hexadecimal digits.
  var sha256: String?
  /// Keys that are not the host's: the plugin's own, in file order.
  var settings: [RawSetting] = []
  /// Of the section's header.
  var line = 0
}

/// Which requests a middleware sees.
enum Scope: String, Sendable, CaseIterable { case routes, protected, `public`, all }

/// What its scope answers while a plugin is out.
enum FailurePolicy: String, Sendable, CaseIterable { case closed, open }

enum PluginMode: String, Sendable, CaseIterable { case enforce, shadow, off }

/// So many faults within so long; a window of zero means each fault counts by itself.
struct FaultThreshold: Sendable, Equatable {
  var count: Int
  var window: Duration
}

/// Exponential, by doubling.
struct Backoff: Sendable, Equatable {
  var initial: Duration
  var maximum: Duration
}

/// A key of a plugin's own, as written, with substitutions made and quotes removed.
struct RawSetting: Sendable, Equatable {
  var key: String
  var value: String
  var line: Int
}
