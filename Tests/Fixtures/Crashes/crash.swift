// Middleware in Swift that ends in a fatal error, on the C interface alone.
import PluginABI

@inline(never)
private func openSluice(_ depth: Int) -> Int {
  if depth > 3 { fatalError("the sluice is rusted shut") }  // line: fatal
  return depth
}

nonisolated(unsafe) private var depth = 9

private func text(_ text: StaticString) -> UnsafePointer<CChar> {
  UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
}

nonisolated(unsafe) private let table: UnsafeMutablePointer<bh_plugin> = {
  var made = bh_plugin()
  made.size = UInt32(MemoryLayout<bh_plugin>.size)
  made.abi_major = UInt32(BH_ABI_MAJOR)
  made.abi_minor = UInt32(BH_ABI_MINOR)
  made.capabilities = UInt32(BH_HANDLES_REQUEST)
  made.name = text("crash")
  made.version = text("1.0.0")
  made.summary = text("Ends in a fatal error")
  made.start = { _, _, _ in bh_status(BH_OK) }
  made.request = { _, _, _ in
    depth = openSluice(depth)
    return bh_status(BH_OK)
  }
  let table = UnsafeMutablePointer<bh_plugin>.allocate(capacity: 1)
  table.initialize(to: made)
  return table
}()

@_cdecl("bulkhead_plugin")
public func bulkheadPlugin() -> UnsafePointer<bh_plugin> { UnsafePointer(table) }
