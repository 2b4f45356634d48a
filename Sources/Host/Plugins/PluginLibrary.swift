import Glibc
import LinuxShims

/// Why a plugin did not come to serve.
struct PluginFailure: Error {
  var reason: Quarantine.Reason
  var message: String
}

/// A library that is loaded and whose table this host can use. Never unloaded: a Swift image cannot be.
struct PluginLibrary {
  let path: String
  let table: UnsafePointer<bh_plugin>
  let name: String
  let version: String
  let summary: String
  let capabilities: Capabilities
  let schema: [SettingSchema]

  struct Capabilities: OptionSet, Sendable {
    let rawValue: UInt32
    static let request = Capabilities(rawValue: UInt32(BH_HANDLES_REQUEST))
    static let response = Capabilities(rawValue: UInt32(BH_HANDLES_RESPONSE))
    static let routes = Capabilities(rawValue: UInt32(BH_ROUTES))
    static let decidesCORS = Capabilities(rawValue: UInt32(BH_DECIDES_CORS))
    static let authenticates = Capabilities(rawValue: UInt32(BH_AUTHENTICATES))

    /// As `describe` and diagnostics name it.
    var kind: String {
      let isMiddleware = !isDisjoint(with: [.request, .response])
      switch (isMiddleware, contains(.routes)) {
      case (true, true): return "middleware+router"
      case (true, false): return "middleware"
      case (false, true): return "router"
      case (false, false): return "none"
      }
    }
  }

  /// Which bytes a plugin is loaded from.
  enum Source: Sendable {
    /// The file itself: for tools, which end with what they load.
    case file
    /// A private copy of the file, at this path; nil for one of the loading process's own. For whatever serves.
    case copy(String?)

    /// The supervisor copies no file but one that passes `LibraryFile.check`; the file may be another by now.
    var isChecked: Bool { if case .copy(_?) = self { true } else { false } }
  }

  /// Loads the library and reads its table, calling nothing in it but the entry symbol.
  ///
  /// - Parameter source: `path` is the file that the configuration names, whatever is loaded for it.
  /// - Throws: `load-failed` or `abi-mismatch`, with what the loader or the table says.
  static func open(_ path: String, from source: Source = .file) throws(PluginFailure) -> PluginLibrary {
    let image: UnsafeMutableRawPointer
    switch source {
    case .copy(let copy): image = try LibraryLoader.map(copy, of: path)
    case .file:
      guard let found = shim_dlopen(path) else {
        throw PluginFailure(
          reason: .loadFailed, message: dlerror().map { String(cString: $0) } ?? "dlopen failed")
      }
      image = found
    }
    guard let symbol = dlsym(image, BH_ENTRY_SYMBOL) else {
      throw PluginFailure(
        reason: .loadFailed, message: "\(path) does not export the symbol '\(BH_ENTRY_SYMBOL)'")
    }
    guard let table = unsafeBitCast(symbol, to: bh_entry.self)() else {
      throw PluginFailure(reason: .loadFailed, message: "\(BH_ENTRY_SYMBOL)() returned no table")
    }
    return try PluginLibrary(path: path, table: table)
  }

  init(path: String, table: UnsafePointer<bh_plugin>) throws(PluginFailure) {
    let size = table.pointee.size
    guard size >= 8, table.pointee.abi_major == BH_ABI_MAJOR else {
      throw PluginFailure(
        reason: .abiMismatch,
        message:
          "built for ABI \(size >= 8 ? String(table.pointee.abi_major) : "?"), this host has \(BH_ABI_MAJOR)")
    }
    guard size >= UInt32(MemoryLayout<bh_plugin>.size) else {
      throw PluginFailure(
        reason: .abiMismatch,
        message: "its table has \(size) bytes, version 1.0 has \(MemoryLayout<bh_plugin>.size)")
    }
    guard let name = table.pointee.name, let version = table.pointee.version, table.pointee.start != nil
    else {
      throw PluginFailure(reason: .loadFailed, message: "its table lacks name, version or start")
    }
    guard PluginSection.isKebabCase(String(cString: name)) else {
      throw PluginFailure(reason: .loadFailed, message: "its table's name is not in kebab-case")
    }
    guard strlen(name) <= PluginSection.maximumName else {
      throw PluginFailure(
        reason: .loadFailed, message: "its table's name is longer than \(PluginSection.maximumName) bytes")
    }
    let versionText = String(cString: version)
    guard RegularExpression.firstMatch(of: RawTable.semanticVersion, in: versionText) != nil else {
      throw PluginFailure(
        reason: .loadFailed,
        message:
          "its table's version is \(versionText.quotedForMessage), which Semantic Versioning does not allow")
    }
    let capabilities = Capabilities(rawValue: table.pointee.capabilities)
    let claims: [(Capabilities, Bool, String)] = [
      (.request, table.pointee.request != nil, "request"),
      (.response, table.pointee.response != nil, "response"),
      (.routes, table.pointee.handle != nil, "handle"),
    ]
    for (capability, isThere, function) in claims where capabilities.contains(capability) && !isThere {
      throw PluginFailure(
        reason: .loadFailed,
        message: "its table claims the capability for '\(function)', and has no such function")
    }
    self.path = path
    self.table = table
    self.name = String(cString: name)
    self.version = versionText
    self.summary = table.pointee.summary.map { String(cString: $0) } ?? ""
    self.capabilities = capabilities
    self.schema = try PluginLibrary.schema(of: table)
  }

  /// What the header forbids: the host would hand the plugin another key's value, or one of two.
  private static func fault(ofSetting name: String, after earlier: [SettingSchema]) -> String? {
    if !PluginSection.isKebabCase(name) {
      return "its setting \(name.quotedForMessage) is not in kebab-case"
    }
    if PluginSection.keys.all.contains(name) {
      return "its setting '\(name)' is a key of the host's own: the plugin would never see it"
    }
    if earlier.contains(where: { $0.name == name }) {
      return "its setting '\(name)' stands twice in its schema"
    }
    return nil
  }

  /// What settings the table declares, each by the rules of the header.
  static func schema(of table: UnsafePointer<bh_plugin>) throws(PluginFailure) -> [SettingSchema] {
    guard let settings = table.pointee.settings else { return [] }
    var schema: [SettingSchema] = []
    for index in 0..<table.pointee.setting_count {
      guard let entry = settings[index] else {
        throw PluginFailure(reason: .loadFailed, message: "entry \(index) of its settings schema is null")
      }
      guard entry.pointee.size >= UInt32(MemoryLayout<bh_setting_schema>.size), let name = entry.pointee.name,
        let type = SettingSchema.Kind(rawValue: entry.pointee.type)
      else {
        throw PluginFailure(
          reason: .loadFailed, message: "entry \(index) of its settings schema is malformed")
      }
      if let fault = fault(ofSetting: String(cString: name), after: schema) {
        throw PluginFailure(reason: .loadFailed, message: fault)
      }
      let flags = entry.pointee.flags
      schema.append(
        SettingSchema(
          name: String(cString: name), type: type,
          isRequired: flags & UInt32(BH_SETTING_REQUIRED) != 0,
          isSecret: flags & UInt32(BH_SETTING_SECRET) != 0,
          isRepeatable: flags & UInt32(BH_SETTING_REPEATABLE) != 0,
          defaultText: entry.pointee.default_value.map { String(cString: $0) },
          choices: entry.pointee.choices.map {
            String(cString: $0).split(separator: "|").map(String.init)
          } ?? [],
          help: entry.pointee.help.map { String(cString: $0) } ?? ""))
    }
    return schema
  }
}
