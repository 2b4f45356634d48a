import Foundation
import PluginABI
import PluginAPI
import Synchronization

/// An in-memory host for the tests of one plugin: starts it from its table, matches its routes, and runs requests through
/// the request phase, the access check, the handler and the response phase, without a process or a socket.
///
/// ```swift
/// let host = try InProcessHost(PluginTable.of(Hello.self), settings: ["greeting": "Hi"], mount: "/hello")
/// let answer = try host.send("GET", "/hello/world?loud=1", headers: ["Accept": "text/plain"])
/// ```
///
/// Requests may be sent from several threads at a time. The plugin is stopped by ``stop()``, or when this is released.
public final class InProcessHost: Sendable {
  /// Which requests a middleware sees (`applies-to`).
  public enum Scope: Sendable {
    /// Those that match a route.
    case routes
    /// Those whose route is not public.
    case protected
    /// Those whose route is public.
    case `public`
    /// Those without a route too.
    case all
  }

  /// The plugin's own directory. Removed with this host, unless it was given.
  public let stateDirectory: String
  /// How long a request's handling may take, and a stream until its end.
  public let requestTimeout: Duration

  // The table is constant, and the plugin's to synchronise is the instance.
  private nonisolated(unsafe) let table: UnsafePointer<bh_plugin>
  private nonisolated(unsafe) let instance: UnsafeMutableRawPointer?
  let context: PluginContext
  private let scope: Scope
  private let downstream: Answer
  private let ownsStateDirectory: Bool
  private let isStopped = Mutex(false)
  private let requestCount = Mutex(0)

  /// Starts a plugin, and runs its self-test.
  ///
  /// - Parameters:
  ///   - table: What the plugin's entry point returns.
  ///   - settings: As they would stand in `plugins.conf`; checked against the plugin's schema.
  ///   - mount: Where its routes lie.
  ///   - name: Of the section; the plugin's own name, unless given.
  ///   - scope: Which requests its middleware sees.
  ///   - downstream: The answer to requests that are none of the plugin's routes.
  ///   - regions: The shared memory of an earlier host.
  ///   - stateDirectory: A new temporary one, unless given.
  ///   - generation: What the plugin is told.
  ///   - requestTimeout: From sending to the deadline.
  /// - Throws: ``StartFailure``.
  public init(
    _ table: PluginTable?, settings: Fields = [:], mount: String = "", name: String? = nil,
    appliesTo scope: Scope = .routes, downstream: Answer = Answer(body: "downstream"),
    regions: SharedRegions = SharedRegions(), stateDirectory: String? = nil, generation: Int = 1,
    requestTimeout: Duration = .seconds(30)
  ) throws {
    guard let table else { throw StartFailure.loadFailed("the entry point returns no table") }
    try Self.check(table)
    self.table = table
    self.scope = scope
    self.downstream = downstream
    self.requestTimeout = requestTimeout
    self.stateDirectory = try stateDirectory ?? Self.makeTemporaryDirectory()
    self.ownsStateDirectory = stateDirectory == nil
    self.context = PluginContext(
      name: name ?? String(cString: table.pointee.name), mount: mount,
      capabilities: table.pointee.capabilities,
      regions: regions)
    do {
      let check = try SettingsCheck(settings.elements, schema: table.pointee.schema)
      self.instance = try Self.start(table, context, check, self.stateDirectory, generation)
    } catch {
      if stateDirectory == nil { try FileManager.default.removeItem(atPath: self.stateDirectory) }
      throw error
    }
  }

  deinit {
    stop()
    guard ownsStateDirectory else { return }
    do {
      try FileManager.default.removeItem(atPath: stateDirectory)
    } catch {
      print("cannot remove \(stateDirectory): \(error)")
    }
  }

  /// Stops the plugin, once. No request may be under way or follow.
  public func stop() {
    let isFirst = isStopped.withLock { isStopped in
      defer { isStopped = true }
      return !isStopped
    }
    if isFirst { table.pointee.stop?(instance) }
  }

  // MARK: What the plugin has done

  /// What it has logged so far.
  public var logLines: [LogLine] { context.state.withLock { $0.lines } }

  /// What a metric has come to; `nil` if the plugin has none of this name.
  public func metric(_ name: String) -> MetricValue? {
    context.state.withLock { $0.metrics[name] }?.state.withLock { $0 }
  }

  /// Its routes, mount included: `GET /api/v1/projects/{id}`.
  public var routes: [String] {
    context.state.withLock { $0.routes.routes.map { "\($0.method) \($0.pattern)" } }
  }

  // MARK: Timers

  /// Lets time pass for the plugin's timers, and for nothing else: fires each that falls due, in its order, on this thread.
  ///
  /// - Throws: ``PluginFault`` if one fails; time stands still at that point.
  public func advance(by duration: Duration) throws {
    try context.clock.advance(by: duration) { PluginFault(phase: .timer, message: context.takeError()) }
  }

  // MARK: Requests

  /// Runs one request.
  ///
  /// - Parameters:
  ///   - method: As it stands in a request: `"GET"`.
  ///   - target: A normalised path, and a query after `?`.
  ///   - headers: Besides Host and Content-Length.
  ///   - body: Whole.
  ///   - identity: As an earlier middleware would have set it.
  ///   - attributes: As earlier middleware would have set them, by name.
  ///   - access: Of the route downstream, for requests that are none of the plugin's routes.
  ///   - client: The address that the request comes from.
  /// - Throws: ``PluginFault`` if the plugin fails. A `Problem` is an answer.
  public func send(
    _ method: String, _ target: String, headers: Fields = [:], body: String = "", identity: Identity? = nil,
    attributes: [String: [UInt8]] = [:], access: Routes.Access = .public, client: String = "192.0.2.1"
  ) throws -> Answer {
    try send(
      method, target, headers: headers, bytes: [UInt8](body.utf8), identity: identity, attributes: attributes,
      access: access, client: client)
  }

  /// Runs one request with any bytes as its body.
  public func send(
    _ method: String, _ target: String, headers: Fields = [:], bytes: [UInt8], identity: Identity? = nil,
    attributes: [String: [UInt8]] = [:], access: Routes.Access = .public, client: String = "192.0.2.1"
  ) throws -> Answer {
    let number = requestCount.withLock { count in
      count += 1
      return count
    }
    let sent = SentRequest(
      number: number, method: method, target: target, headers: headers.elements, body: bytes,
      identity: identity,
      attributes: attributes, downstreamAccess: access, client: client, timeout: requestTimeout)
    let plugin = StartedPlugin(
      table: table, instance: instance, context: context, scope: scope, downstream: downstream)
    return try plugin.run(sent)
  }
}

extension InProcessHost {
  /// `start`, and the plugin's own test.
  private static func start(
    _ table: UnsafePointer<bh_plugin>, _ context: PluginContext, _ check: SettingsCheck,
    _ stateDirectory: String,
    _ generation: Int
  ) throws -> UnsafeMutableRawPointer? {
    let arena = Arena()
    let settings = check.values.map { value -> UnsafePointer<bh_setting>? in
      arena.value(
        bh_setting(
          size: UInt32(MemoryLayout<bh_setting>.size), type: value.type, name: arena.cString(value.name),
          text: arena.bytes(value.text), integer: value.integer, number: value.number))
    }
    let start = bh_start(
      size: UInt32(MemoryLayout<bh_start>.size), host: HostTable.pointer, context: context.pointer,
      name: arena.cString(context.name), mount: arena.cString(context.mount),
      state_directory: arena.cString(stateDirectory), settings: arena.array(settings),
      setting_count: settings.count, generation: UInt32(generation), loop_count: 2)
    var instance: UnsafeMutableRawPointer?
    let status = withExtendedLifetime(arena) { table.pointee.start(table, arena.value(start), &instance) }
    guard status == HostTable.ok else { throw StartFailure.startFailed(context.takeError()) }
    context.state.withLock { $0.isStarting = false }
    context.clock.close()
    if let test = table.pointee.extension?(table, BH_SELF_TEST) {
      let run = test.assumingMemoryBound(to: bh_self_test.self).pointee.run
      guard run?(instance) == HostTable.ok else {
        table.pointee.stop?(instance)
        throw StartFailure.startFailed(context.takeError())
      }
    }
    return instance
  }

  private static func makeTemporaryDirectory() throws -> String {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("bulkhead-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    return url.path
  }
}

extension InProcessHost {
  /// What the host checks before it calls any function of a table. The head is read first, for the rest may not be there.
  private static func check(_ table: UnsafePointer<bh_plugin>) throws {
    let head = UnsafeRawPointer(table)
    let size = head.load(as: UInt32.self)
    let major = head.load(fromByteOffset: MemoryLayout<UInt32>.size, as: UInt32.self)
    guard major == BH_ABI_MAJOR else {
      throw StartFailure.abiMismatch("the plugin has major version \(major)")
    }
    guard size >= UInt32(MemoryLayout<bh_plugin>.size) else {
      throw StartFailure.abiMismatch("the plugin's table has \(size) bytes")
    }
    let plugin = table.pointee
    guard plugin.name != nil, String(cString: plugin.name).isKebabCase else {
      throw StartFailure.loadFailed("the plugin's name is not in kebab-case")
    }
    let has = { (capability: Int) in plugin.capabilities & UInt32(capability) != 0 }
    guard plugin.start != nil, plugin.request != nil || !has(BH_HANDLES_REQUEST),
      plugin.response != nil || !has(BH_HANDLES_RESPONSE), plugin.handle != nil || !has(BH_ROUTES)
    else { throw StartFailure.loadFailed("a capability lacks its function") }
  }
}

extension String {
  /// `[a-z][a-z0-9]*(-[a-z0-9]+)*`
  fileprivate var isKebabCase: Bool {
    guard let first = utf8.first, (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(first) else {
      return false
    }
    return split(separator: "-", omittingEmptySubsequences: false).allSatisfy { word in
      !word.isEmpty && word.utf8.allSatisfy { $0.isTokenCharacter && !(0x41...0x5A).contains($0) }
        && word.allSatisfy { $0.isLetter || $0.isNumber }
    }
  }
}

extension bh_plugin {
  fileprivate var schema: [bh_setting_schema] {
    (0..<setting_count).compactMap { settings[$0]?.pointee }
  }
}
