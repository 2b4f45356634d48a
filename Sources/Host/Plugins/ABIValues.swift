import Glibc

/// Lays out in C what a plugin is started with.
enum ABIValues {
  /// Calls `body` with a bh_start that lives as long as the call.
  static func withStart(
    of plugin: Plugin, _ values: [SettingValue], _ environment: PluginEnvironment,
    _ body: (UnsafePointer<bh_start>) -> bh_status
  ) -> bh_status {
    var strings: [UnsafeMutablePointer<CChar>] = []
    defer { for string in strings { free(string) } }
    func lasting(_ text: String) -> UnsafePointer<CChar>? {
      guard let copy = strdup(text) else { return nil }
      strings.append(copy)
      return UnsafePointer(copy)
    }

    let settings = UnsafeMutablePointer<bh_setting>.allocate(capacity: max(1, values.count))
    let pointers = UnsafeMutablePointer<UnsafePointer<bh_setting>?>.allocate(capacity: max(1, values.count))
    defer {
      settings.deallocate()
      pointers.deallocate()
    }
    for (index, value) in values.enumerated() {
      let text = lasting(value.text)
      settings[index] = bh_setting(
        size: UInt32(MemoryLayout<bh_setting>.size), type: value.type.rawValue, name: lasting(value.name),
        text: bh_bytes(data: text, count: value.text.utf8.count), integer: value.integer, number: value.number
      )
      pointers[index] = UnsafePointer(settings + index)
    }
    var start = bh_start()
    start.size = UInt32(MemoryLayout<bh_start>.size)
    start.host = environment.host
    start.context = plugin.handle
    start.name = lasting(plugin.name)
    start.mount = lasting(plugin.configuration.mount ?? "")
    start.state_directory = lasting(environment.stateDirectory)
    start.settings = UnsafePointer(pointers)
    start.setting_count = values.count
    start.generation = environment.generation
    start.loop_count = environment.loopCount
    return body(&start)
  }
}
