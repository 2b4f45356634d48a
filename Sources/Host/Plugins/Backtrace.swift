import Glibc
import LinuxShims

/// Names for the program counters of a frozen thread.
///
/// The dynamic symbols name only what a library exports; the functions of a plugin are found in its file's full symbol
/// table, where it has not been stripped of it.
enum Backtrace {
  /// `function + offset in library`, innermost first. Not for a signal handler: it allocates and reads files.
  static func symbolize(_ counters: [UInt64]) -> [String] {
    var tables: [String: SymbolTable] = [:]
    return counters.enumerated().map { index, counter in
      // A return address stands behind its call: the call may have been the function's last instruction.
      describe(index == 0 ? counter : counter &- 1, at: counter, &tables)
    }
  }

  private static func describe(
    _ address: UInt64, at counter: UInt64, _ tables: inout [String: SymbolTable]
  ) -> String {
    var found = shim_place()
    guard let pointer = UnsafeRawPointer(bitPattern: UInt(address)), shim_find_place(pointer, &found) != 0,
      let file = found.file, let base = found.base
    else { return "0x" + String(counter, radix: 16) }
    let path = String(cString: file)
    let named = LibraryLoader.original(of: path) ?? path
    let name = named.split(separator: "/").last.map(String.init) ?? named
    let offset = address &- UInt64(UInt(bitPattern: base))
    if tables[path] == nil { tables[path] = SymbolTable(path) }
    if let symbol = tables[path]?.symbol(at: offset) {
      return "\(demangled(symbol.name)) + \(offset &- symbol.start) in \(name)"
    }
    if let symbol = found.symbol, let start = found.symbol_start {
      return
        "\(demangled(String(cString: symbol))) + \(address &- UInt64(UInt(bitPattern: start))) in \(name)"
    }
    return "0x\(String(offset, radix: 16)) in \(name)"
  }

  /// Swift's names as they stand in the source.
  private static func demangled(_ name: String) -> String {
    guard name.hasPrefix("$s") || name.hasPrefix("_$s") else { return name }
    guard let text = swift_demangle(name, name.utf8.count, nil, nil, 0) else { return name }
    defer { free(text) }
    return String(cString: text)
  }
}

/// The functions of one ELF file (elf(5)), by their offset from the start of the image.
struct SymbolTable {
  struct Symbol {
    var start: UInt64
    var size: UInt64
    var name: String
  }

  private var symbols: [Symbol] = []

  /// Empty if the file is no 64-bit ELF file with a symbol table: then nothing is found in it.
  init(_ path: String) {
    let raw = open(path, O_RDONLY | O_CLOEXEC)
    guard raw >= 0 else { return }
    defer { close(raw) }
    var status = stat()
    guard fstat(raw, &status) == 0, status.st_size > 64 else { return }
    let count = Int(status.st_size)
    guard let base = mmap(nil, count, PROT_READ, MAP_PRIVATE, raw, 0), base != MAP_FAILED else { return }
    defer { munmap(base, count) }
    read(UnsafeRawBufferPointer(start: base, count: count))
  }

  /// The function that holds the offset.
  func symbol(at offset: UInt64) -> Symbol? {
    symbols.first { offset >= $0.start && offset < $0.start &+ max($0.size, 1) }
  }

  private mutating func read(_ file: UnsafeRawBufferPointer) {
    // 0x7f E L F, 64 bits, little-endian.
    guard file[0] == 0x7f, file[1] == 0x45, file[2] == 0x4c, file[3] == 0x46, file[4] == 2, file[5] == 1
    else {
      return
    }
    guard let sections = Int(exactly: load(file, 40, UInt64.self)) else { return }
    let size = Int(load(file, 58, UInt16.self))
    let sectionCount = Int(load(file, 60, UInt16.self))
    for index in 0..<sectionCount {
      let section = sections + index * size
      guard section >= 0, section + 64 <= file.count else { return }
      // SHT_SYMTAB
      guard load(file, section + 4, UInt32.self) == 2 else { continue }
      let strings = sections + Int(load(file, section + 40, UInt32.self)) * size
      guard strings + 64 <= file.count else { return }
      readSymbols(
        file, from: Int(clamping: load(file, section + 24, UInt64.self)),
        size: Int(clamping: load(file, section + 32, UInt64.self)),
        names: Int(clamping: load(file, strings + 24, UInt64.self)))
    }
  }

  private mutating func readSymbols(_ file: UnsafeRawBufferPointer, from start: Int, size: Int, names: Int) {
    guard start >= 0, size >= 0, start <= file.count - size else { return }
    for symbol in stride(from: start, to: start + size - 23, by: 24) {
      // STT_FUNC, and defined here.
      guard file[symbol + 4] & 15 == 2, load(file, symbol + 6, UInt16.self) != 0 else { continue }
      let name = names + Int(load(file, symbol, UInt32.self))
      guard name >= 0, name < file.count else { continue }
      let end = file[name...].firstIndex(of: 0) ?? file.count
      symbols.append(
        Symbol(
          start: load(file, symbol + 8, UInt64.self), size: load(file, symbol + 16, UInt64.self),
          name: String(decoding: file[name..<end], as: UTF8.self)))
    }
  }

  private func load<Value: FixedWidthInteger>(_ file: UnsafeRawBufferPointer, _ offset: Int, _: Value.Type)
    -> Value
  {
    guard offset >= 0, offset + MemoryLayout<Value>.size <= file.count else { return 0 }
    return file.loadUnaligned(fromByteOffset: offset, as: Value.self)
  }
}
