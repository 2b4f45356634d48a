import Glibc

/// Tables of functions that plugins call, in pages that nobody can write to: a plugin that writes into one faults, and spoils
/// it for no other.
enum ReadOnlyTable {
  /// A copy of the table that lives as long as the process (mprotect(2)). Where no page can be had, one that can be
  /// written to.
  static func make<Table>(_ table: Table) -> UnsafePointer<Table> {
    let size = MemoryLayout<Table>.size
    let page = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let page, page != MAP_FAILED else {
      let memory = UnsafeMutablePointer<Table>.allocate(capacity: 1)
      memory.initialize(to: table)
      return UnsafePointer(memory)
    }
    let memory = page.bindMemory(to: Table.self, capacity: 1)
    memory.initialize(to: table)
    mprotect(page, size, PROT_READ)
    return UnsafePointer(memory)
  }
}
