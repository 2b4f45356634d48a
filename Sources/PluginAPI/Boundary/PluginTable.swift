import PluginABI
import Synchronization

/// What a plugin's entry point returns: a constant table, made once for a type, that lives as long as the process.
public typealias PluginTable = UnsafePointer<bh_plugin>

extension UnsafePointer<bh_plugin> {
  /// The table of a middleware.
  public static func of<P: Middleware>(_ type: P.Type) -> PluginTable {
    made(for: type, capabilities: type.capabilities) { MiddlewareInstance(try P($1), $0) }
  }

  /// The table of a router.
  public static func of<P: Router>(_ type: P.Type) -> PluginTable {
    made(for: type, capabilities: UInt32(BH_ROUTES)) { try RouterInstance(try P($1), $0) }
  }

  /// The table of a plugin that is both.
  public static func of<P: Middleware & Router>(_ type: P.Type) -> PluginTable {
    made(for: type, capabilities: type.capabilities | UInt32(BH_ROUTES)) {
      try MiddlewareRouterInstance(try P($1), $0)
    }
  }

  private static func made<P: Plugin>(
    for type: P.Type, capabilities: UInt32,
    start: @escaping @Sendable (Host, Start<P.Settings>) throws -> Instance
  ) -> PluginTable {
    tables.withLock { tables in
      if let table = tables[ObjectIdentifier(type)] { return table.pointer }
      let table = Table(type, capabilities: capabilities) { host, raw in
        try start(host, Start(raw, host: host))
      }
      tables[ObjectIdentifier(type)] = table
      return table.pointer
    }
  }
}

extension Middleware {
  fileprivate static var capabilities: UInt32 {
    var capabilities: UInt32 = 0
    if phases.contains(.request) { capabilities |= UInt32(BH_HANDLES_REQUEST) }
    if phases.contains(.response) { capabilities |= UInt32(BH_HANDLES_RESPONSE) }
    if decidesCORS { capabilities |= UInt32(BH_DECIDES_CORS) }
    if authenticates { capabilities |= UInt32(BH_AUTHENTICATES) }
    return capabilities
  }
}

/// Every table made so far, by the plugin's type. A library asks once; a test bundle has several types.
private let tables = Mutex<[ObjectIdentifier: Table]>([:])

/// Checks the settings of a plugin type, and makes its instance. Behind `bh_plugin.reserved`.
final class Starter: Sendable {
  let check: @Sendable (bh_start) throws -> Void
  let start: @Sendable (Host, bh_start) throws -> Instance

  init(
    check: @escaping @Sendable (bh_start) throws -> Void,
    start: @escaping @Sendable (Host, bh_start) throws -> Instance
  ) {
    self.check = check
    self.start = start
  }
}

/// A table and the strings that it points at. Never freed: the host may hold it until the process ends.
private struct Table: @unchecked Sendable {
  // Invariant: nothing writes to the memory once the table is made. That is what makes this Sendable.
  let pointer: PluginTable

  init<P: Plugin>(
    _ type: P.Type, capabilities: UInt32, start: @escaping @Sendable (Host, bh_start) throws -> Instance
  ) {
    let settings = P.Settings.schema.map { UnsafePointer<bh_setting_schema>?(rawSchema($0)) }
    var table = bh_plugin()
    table.size = UInt32(MemoryLayout<bh_plugin>.size)
    table.abi_major = BH_ABI_MAJOR
    table.abi_minor = BH_ABI_MINOR
    table.capabilities = capabilities
    table.name = lasting("\(P.plugin.name)")
    table.version = lasting("\(P.plugin.version)")
    table.summary = lasting("\(P.plugin.summary)")
    table.settings = UnsafePointer(lasting(settings))
    table.setting_count = settings.count
    let starter = Starter(check: { let _: P.Settings = try $0.checkedSettings() }, start: start)
    table.reserved = Unmanaged.passRetained(starter).toOpaque()
    table.start = startPlugin
    table.stop = stopPlugin
    table.request = capabilities & UInt32(BH_HANDLES_REQUEST) != 0 ? runRequestPhase : nil
    table.response = capabilities & UInt32(BH_HANDLES_RESPONSE) != 0 ? runResponsePhase : nil
    table.handle = capabilities & UInt32(BH_ROUTES) != 0 ? runHandler : nil
    table.extension = findPluginExtension
    let pointer = UnsafeMutablePointer<bh_plugin>.allocate(capacity: 1)
    pointer.initialize(to: table)
    self.pointer = UnsafePointer(pointer)
  }
}

private func rawSchema(_ setting: Setting) -> UnsafePointer<bh_setting_schema> {
  var raw = bh_setting_schema()
  raw.size = UInt32(MemoryLayout<bh_setting_schema>.size)
  raw.type = setting.kind.raw
  raw.flags =
    (setting.isRequired ? UInt32(BH_SETTING_REQUIRED) : 0)
    | (setting.isSecret ? UInt32(BH_SETTING_SECRET) : 0)
    | (setting.isRepeatable ? UInt32(BH_SETTING_REPEATABLE) : 0)
  raw.name = lasting(setting.name)
  raw.default_value = setting.defaultValue.map { lasting($0) }
  raw.help = lasting(setting.help)
  raw.choices = setting.choices.isEmpty ? nil : lasting(setting.choices.joined(separator: "|"))
  let pointer = UnsafeMutablePointer<bh_setting_schema>.allocate(capacity: 1)
  pointer.initialize(to: raw)
  return UnsafePointer(pointer)
}

/// A NUL-terminated copy that is never freed.
private func lasting(_ text: String) -> UnsafePointer<CChar> {
  let bytes = text.utf8CString
  let copy = UnsafeMutableBufferPointer<CChar>.allocate(capacity: bytes.count)
  _ = copy.initialize(fromContentsOf: bytes)
  return UnsafePointer(copy.baseAddress.unsafelyUnwrapped)
}

/// A copy that is never freed; null if it is empty.
private func lasting<T>(_ elements: [T]) -> UnsafeMutablePointer<T>? {
  guard !elements.isEmpty else { return nil }
  let copy = UnsafeMutableBufferPointer<T>.allocate(capacity: elements.count)
  _ = copy.initialize(fromContentsOf: elements)
  return copy.baseAddress
}

extension Setting.Kind {
  var raw: bh_setting_type {
    switch self {
    case .string: bh_setting_type(BH_SETTING_STRING)
    case .integer: bh_setting_type(BH_SETTING_INTEGER)
    case .number: bh_setting_type(BH_SETTING_NUMBER)
    case .boolean: bh_setting_type(BH_SETTING_BOOLEAN)
    case .duration: bh_setting_type(BH_SETTING_DURATION)
    case .size: bh_setting_type(BH_SETTING_SIZE)
    case .list: bh_setting_type(BH_SETTING_LIST)
    }
  }

  /// A kind that this SDK does not know reads as text.
  init(raw: bh_setting_type) {
    switch Int(raw) {
    case Int(BH_SETTING_INTEGER): self = .integer
    case Int(BH_SETTING_NUMBER): self = .number
    case Int(BH_SETTING_BOOLEAN): self = .boolean
    case Int(BH_SETTING_DURATION): self = .duration
    case Int(BH_SETTING_SIZE): self = .size
    case Int(BH_SETTING_LIST): self = .list
    default: self = .string
    }
  }
}
