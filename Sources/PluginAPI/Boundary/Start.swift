import PluginABI

extension Start where Settings: PluginSettings {
  /// Copies what the host lends for the time of `start`.
  ///
  /// - Throws: ``SettingsError`` if the settings do not fit the plugin's type, and what their own check throws.
  init(_ raw: bh_start, host: Host) throws {
    self.settings = try raw.checkedSettings()
    self.host = host
    self.name = String(cString: raw.name)
    self.mount = String(cString: raw.mount)
    self.stateDirectory = String(cString: raw.state_directory)
    self.generation = Int(raw.generation)
    self.loopCount = Int(raw.loop_count)
  }
}

extension bh_start {
  func checkedSettings<Settings: PluginSettings>() throws -> Settings {
    let settings = try SettingsDecoder.decode(Settings.self, from: settingValues)
    try settings.check()
    return settings
  }

  private var settingValues: [String: [SettingsDecoder.Value]] {
    var values: [String: [SettingsDecoder.Value]] = [:]
    for index in 0..<setting_count {
      guard let setting = settings[index]?.pointee else { continue }
      let value = SettingsDecoder.Value(
        kind: Setting.Kind(raw: setting.type), text: setting.text.string, integer: setting.integer,
        number: setting.number)
      values[String(cString: setting.name), default: []].append(value)
    }
    return values
  }
}

extension Host {
  /// Whether the host has all that version 1.0 of the ABI promises. Later functions are asked for one by one.
  fileprivate var isComplete: Bool {
    guard let size = byteCount(of: bh_host.self, upTo: \.attribute) else { return false }
    return table.pointee.size >= UInt32(size)
  }

  /// States why a call outside of a request fails.
  func fail(_ error: any Error) -> bh_status { fail(String(describing: error)) }

  fileprivate func fail(_ message: String) -> bh_status {
    message.withBytes { table.pointee.set_error(context, nil, $0) }
    return Status.fault
  }
}

typealias StartFunction =
  @convention(c) (PluginTable?, UnsafePointer<bh_start>?, UnsafeMutablePointer<UnsafeMutableRawPointer?>?)
  -> bh_status

/// `bh_plugin.start`.
let startPlugin: StartFunction = { plugin, start, instance in
  guard let starter = plugin?.pointee.reserved, let start = start?.pointee, let instance,
    let table = start.host, let context = start.context
  else { return Status.fault }
  let host = Host(table: table, context: context)
  guard host.isComplete else { return Status.fault }
  do {
    let made = try Unmanaged<Starter>.fromOpaque(starter).takeUnretainedValue().start(host, start)
    instance.pointee = Unmanaged.passRetained(made).toOpaque()
    return Status.ok
  } catch {
    return host.fail(error)
  }
}

/// `bh_plugin.stop`.
let stopPlugin: @convention(c) (UnsafeMutableRawPointer?) -> Void = { instance in
  guard let instance else { return }
  Unmanaged<Instance>.fromOpaque(instance).takeRetainedValue().stop()
}

/// `bh_plugin.extension`.
let findPluginExtension: @convention(c) (PluginTable?, UnsafePointer<CChar>?) -> UnsafeRawPointer? = {
  _, id in
  switch id.map({ String(cString: $0) }) {
  case BH_SELF_TEST: UnsafeRawPointer(selfTestTable)
  case BH_SETTINGS_CHECK: UnsafeRawPointer(settingsCheckTable)
  default: nil
  }
}

nonisolated(unsafe) private let settingsCheckTable: UnsafePointer<bh_settings_check> = {
  var table = bh_settings_check()
  table.size = UInt32(MemoryLayout<bh_settings_check>.size)
  table.check = { plugin, start in
    guard let starter = plugin?.pointee.reserved, let start = start?.pointee, let table = start.host,
      let context = start.context
    else { return Status.fault }
    do {
      try Unmanaged<Starter>.fromOpaque(starter).takeUnretainedValue().check(start)
      return Status.ok
    } catch let error as SettingsError {
      return Host(table: table, context: context).fail("\(error.key): \(error.reason)")
    } catch {
      return Host(table: table, context: context).fail(error)
    }
  }
  let pointer = UnsafeMutablePointer<bh_settings_check>.allocate(capacity: 1)
  pointer.initialize(to: table)
  return UnsafePointer(pointer)
}()

nonisolated(unsafe) private let selfTestTable: UnsafePointer<bh_self_test> = {
  var table = bh_self_test()
  table.size = UInt32(MemoryLayout<bh_self_test>.size)
  table.run = { instance in
    guard let state = instance else { return Status.fault }
    let instance = Unmanaged<Instance>.fromOpaque(state).takeUnretainedValue()
    do {
      try instance.selfTest()
      return Status.ok
    } catch {
      return instance.host.fail(error)
    }
  }
  let pointer = UnsafeMutablePointer<bh_self_test>.allocate(capacity: 1)
  pointer.initialize(to: table)
  return UnsafePointer(pointer)
}()
