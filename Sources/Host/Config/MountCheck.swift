/// Two routers at one mount: whose a path below it is would depend on their order, and while one is out the other's paths
/// answer 503 too.
enum MountCheck {
  /// Each router whose mount an earlier one has, with that one.
  ///
  /// - Parameter routers: sections whose library is a router, in the order of the file.
  static func conflicts(
    among routers: [PluginConfiguration]
  ) -> [(first: PluginConfiguration, second: PluginConfiguration)] {
    var seen: [String: PluginConfiguration] = [:]
    var found: [(first: PluginConfiguration, second: PluginConfiguration)] = []
    for router in routers {
      guard let mount = router.mount else { continue }
      if let first = seen[mount] { found.append((first, router)) } else { seen[mount] = router }
    }
    return found
  }

  /// - Parameter line: where the first one says so.
  static func message(of second: PluginConfiguration, and first: PluginConfiguration, line: Int) -> String {
    let mount = second.mount ?? ""
    return
      "[plugin \(second.name)] 'mount' is \((mount.isEmpty ? "/" : mount).quotedForMessage), which [plugin "
      + "\(first.name)] has on line \(line): each router needs a mount of its own"
  }
}
