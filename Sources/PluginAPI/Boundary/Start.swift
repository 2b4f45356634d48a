import PluginABI

extension Start where Settings: PluginSettings {
  /// Copies what the host lends for the time of `start`.
  ///
  /// - Throws: ``SettingsError`` if the settings do not fit the plugin's type.
  init(_ raw: bh_start, host: Host) throws {
    self.settings = try SettingsDecoder.decode(Settings.self, from: raw.settingValues)
    self.host = host
    self.name = String(cString: raw.name)
    self.mount = String(cString: raw.mount)
    self.stateDirectory = String(cString: raw.state_directory)
    self.generation = Int(raw.generation)
    self.loopCount = Int(raw.loop_count)
  }
}

extension bh_start {
  fileprivate var settingValues: [String: [SettingsDecoder.Value]] {
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
  func fail(_ error: any Error) -> bh_status {
    String(describing: error).withBytes { table.pointee.set_error(context, nil, $0) }
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
  guard let id, String(cString: id) == BH_SELF_TEST else { return nil }
  return UnsafeRawPointer(selfTestTable)
}

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
