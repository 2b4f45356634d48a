import Glibc
import PluginAPI

/// Dies here, while the library is loaded, if the environment says so: `BULKHEAD_FAULT_LOAD=trap`. It takes the
/// environment, since no plugin knows its settings before it is started. `throw` returns no table.
@c(bulkhead_plugin) public func bulkheadPlugin() -> PluginTable? {
  guard let name = getenv("BULKHEAD_FAULT_LOAD").map({ String(cString: $0) }), !name.isEmpty else {
    return PluginTable.of(FaultPlugin.self)
  }
  do {
    try Fault(rawValue: name)?.happen(seed: name.utf8.count)
    return PluginTable.of(FaultPlugin.self)
  } catch {
    return nil
  }
}
