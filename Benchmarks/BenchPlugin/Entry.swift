import PluginAPI

@c(bulkhead_plugin) public func bulkheadPlugin() -> PluginTable { PluginTable.of(BenchPlugin.self) }
