import Foundation
import PluginAPI

/// Where a test runs a plugin: one body, two hosts.
public enum HostKind: String, Sendable, CaseIterable {
  /// ``InProcessHost``: the plugin's code in the test's own process, without a socket.
  case inProcess = "in process"
  /// ``HostProcess``: the library, in the real host.
  case process = "real host"

  /// Both, where there is a release build of the host; else the first.
  public static var available: [HostKind] {
    FileManager.default.isExecutableFile(atPath: ReleaseBuild.binary) ? allCases : [.inProcess]
  }
}

/// A host as a test of one plugin sees it.
public protocol PluginHost {
  /// Sends one request.
  ///
  /// - Parameters:
  ///   - method: as it stands in a request: `"GET"`.
  ///   - target: a normalised path, and a query after `?`.
  ///   - headers: besides Host and Content-Length.
  ///   - body: whole.
  /// - Returns: status, fields and body. What only an ``InProcessHost`` can see (identity, attributes) is empty in the
  ///   answer of a real one.
  /// - Throws: ``PluginFault`` in process, where the real host answers 503.
  func send(_ method: String, _ target: String, headers: Fields, body: String) throws -> Answer
}

extension PluginHost {
  public func send(_ method: String, _ target: String, headers: Fields = [:], body: String = "") throws
    -> Answer
  {
    try send(method, target, headers: headers, body: body)
  }
}

/// One plugin with its settings, ready to be started in either host.
///
/// ```swift
/// let hello = TestedPlugin(PluginTable.of(Hello.self), library: "HelloPlugin", mount: "/hello")
///
/// @Test("greets", arguments: HostKind.available)
/// func greets(kind: HostKind) throws {
///   try hello.run(in: kind) { host in
///     let answer = try host.send("GET", "/hello/Ada")
///     #expect(answer.text == "Hello, Ada\n")
///   }
/// }
/// ```
public struct TestedPlugin: Sendable {
  // Constant, by the contract of the boundary.
  private nonisolated(unsafe) let table: PluginTable?
  private let library: String
  private let settings: Fields
  private let mount: String
  private let section: String

  /// - Parameters:
  ///   - table: what the plugin's entry point returns.
  ///   - library: the name of the package's dynamic product, or the path of a library.
  ///   - settings: the plugin's own, as they would stand in plugins.conf.
  ///   - mount: where its routes lie.
  ///   - section: further lines of its section, for the real host alone: `applies-to = all`.
  public init(
    _ table: PluginTable?, library: String, settings: Fields = [:], mount: String = "", section: String = ""
  ) {
    self.table = table
    self.library = library
    self.settings = settings
    self.mount = mount
    self.section = section
  }

  /// Starts the plugin in a host of this kind, runs `body`, and stops it.
  ///
  /// - Throws: ``StartFailure`` or ``HarnessError`` if it does not start; what `body` throws.
  public func run(in kind: HostKind, _ body: (any PluginHost) throws -> Void) throws {
    switch kind {
    case .inProcess:
      let host = try InProcessHost(table, settings: settings, mount: mount)
      defer { host.stop() }
      try body(InProcess(host: host))
    case .process:
      let host = try HostProcess(HostSettings(plugins: sectionText))
      try host.waitFor(plugin: "tested", state: "active")
      try body(Served(host: host))
      try host.stop()
    }
  }

  private var sectionText: String {
    var lines = ["[plugin tested]", "library = \(libraryPath)"]
    if !mount.isEmpty { lines.append("mount = \(mount)") }
    lines += settings.elements.map { name, value in
      "\(name) = \"\(value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("$", with: "\\$"))\""
    }
    return (lines + [section]).joined(separator: "\n")
  }

  /// A path as it is; a product's library lies beside the test's own program, or beside the host.
  private var libraryPath: String {
    guard !library.contains("/") else { return library }
    let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
    let built = program.appendingPathComponent("lib\(library).so").path
    return FileManager.default.fileExists(atPath: built) ? built : ReleaseBuild.library(library)
  }
}

private struct InProcess: PluginHost {
  let host: InProcessHost

  func send(_ method: String, _ target: String, headers: Fields, body: String) throws -> Answer {
    try host.send(method, target, headers: headers, body: body)
  }
}

private struct Served: PluginHost {
  let host: HostProcess

  func send(_ method: String, _ target: String, headers: Fields, body: String) throws -> Answer {
    let response = try host.send(
      method, target, headers: headers.elements.map { ($0.name, $0.value) },
      body: body.isEmpty ? nil : Array(body.utf8))
    var answer = Answer(status: response.status, headers: response.headers)
    answer.body = response.body
    return answer
  }
}
