/// Finds source files and lines by address in `.debug_line` (DWARF 2 to 5, §6.2 of each), one pass for all addresses.
///
/// The bytes may be anything: each read looks at the bounds, and so many bytes are decoded at most, whatever they are.
struct LineTable {
  struct Line: Equatable {
    /// Without its directory.
    var file: String
    var number: UInt64
  }

  private let lines: UnsafeRawBufferPointer
  /// `.debug_line_str` and `.debug_str`.
  private let lineStrings: UnsafeRawBufferPointer
  private let strings: UnsafeRawBufferPointer
  /// Bytes of line programs that are decoded at most.
  private let limit: Int

  init(
    lines: UnsafeRawBufferPointer, lineStrings: UnsafeRawBufferPointer, strings: UnsafeRawBufferPointer,
    limit: Int = 8 << 20
  ) {
    self.lines = lines
    self.lineStrings = lineStrings
    self.strings = strings
    self.limit = limit
  }

  /// The lines of these addresses, of those that have one; by address.
  func find(_ addresses: [UInt64]) -> [UInt64: Line] {
    var found: [UInt64: Line] = [:]
    var cursor = ByteCursor(lines[...])
    while !cursor.isAtEnd, cursor.position < limit, found.count < addresses.count {
      var size = UInt64(cursor.number(UInt32.self))
      let isWide = size == 0xffff_ffff
      if isWide { size = cursor.number(UInt64.self) }
      guard !cursor.hasFailed, let count = Int(exactly: size), var unit = cursor.take(count) else { break }
      readUnit(&unit, isWide: isWide, addresses, &found)
    }
    return found
  }

  private struct Header {
    var version: UInt16 = 0
    var isWide = false
    var instructionSize: UInt64 = 1
    var lineBase: Int64 = 0
    var lineRange: UInt64 = 1
    var opcodeBase: UInt8 = 1
    var operandCounts: [UInt8] = []
    /// Where the table of files begins, which is read when one is wanted.
    var tables = ByteCursor(UnsafeRawBufferPointer(start: nil, count: 0)[...])
  }

  private func readUnit(
    _ unit: inout ByteCursor, isWide: Bool, _ addresses: [UInt64], _ found: inout [UInt64: Line]
  ) {
    var header = Header()
    header.version = unit.number(UInt16.self)
    header.isWide = isWide
    guard (2...5).contains(header.version) else { return }
    if header.version == 5 {
      guard unit.number(UInt8.self) == 8 else { return }
      _ = unit.number(UInt8.self)
    }
    let size = isWide ? unit.number(UInt64.self) : UInt64(unit.number(UInt32.self))
    guard !unit.hasFailed, let count = Int(exactly: size), var rest = unit.take(count) else { return }
    header.instructionSize = UInt64(rest.number(UInt8.self))
    if header.version >= 4 { _ = rest.number(UInt8.self) }
    _ = rest.number(UInt8.self)
    header.lineBase = Int64(rest.number(Int8.self))
    header.lineRange = UInt64(rest.number(UInt8.self))
    header.opcodeBase = rest.number(UInt8.self)
    guard header.lineRange > 0, header.opcodeBase > 0 else { return }
    for _ in 1..<max(1, Int(header.opcodeBase)) { header.operandCounts.append(rest.number(UInt8.self)) }
    guard !rest.hasFailed else { return }
    header.tables = rest
    run(&unit, header, addresses, &found)
  }

  private struct Row {
    var address: UInt64 = 0
    var file: UInt64 = 1
    var line: UInt64 = 1
  }

  private func run(
    _ program: inout ByteCursor, _ header: Header, _ addresses: [UInt64], _ found: inout [UInt64: Line]
  ) {
    var row = Row()
    var before: Row?
    /// The sequence is of a section that the linker has dropped.
    var isDropped = true
    /// Names that are looked up at most, whatever the tables are.
    var lookups = 64
    guard let lowest = addresses.min(), let highest = addresses.max() else { return }
    func emit() {
      if let last = before, !isDropped, row.address > lowest, last.address <= highest, last.line > 0 {
        for address in addresses where address >= last.address && address < row.address {
          guard found[address] == nil, lookups > 0 else { continue }
          lookups -= 1
          guard let file = fileName(last.file, header) else { continue }
          found[address] = Line(file: file, number: last.line)
        }
      }
      before = row
    }
    while !program.isAtEnd, !program.hasFailed, found.count < addresses.count {
      let opcode = program.number(UInt8.self)
      if opcode >= header.opcodeBase {
        let step = UInt64(opcode - header.opcodeBase)
        row.address &+= step / header.lineRange &* header.instructionSize
        row.line &+= UInt64(bitPattern: header.lineBase &+ Int64(step % header.lineRange))
        emit()
        continue
      }
      switch opcode {
      case 0:
        guard let count = Int(exactly: program.unsigned()), count > 0, var operands = program.take(count)
        else { return }
        switch operands.number(UInt8.self) {
        case 1:
          emit()
          row = Row()
          before = nil
          isDropped = true
        case 2:
          row.address = operands.number(UInt64.self)
          isDropped = operands.hasFailed || row.address == 0
          before = nil
        default: break
        }
      case 1: emit()
      case 2: row.address &+= program.unsigned() &* header.instructionSize
      case 3: row.line &+= UInt64(bitPattern: program.signed())
      case 4: row.file = program.unsigned()
      case 8: row.address &+= UInt64(255 - header.opcodeBase) / header.lineRange &* header.instructionSize
      case 9: row.address &+= UInt64(program.number(UInt16.self))
      default:
        for _ in 0..<header.operandCounts[Int(opcode) - 1] { _ = program.unsigned() }
      }
    }
  }

  // MARK: Names

  private func fileName(_ index: UInt64, _ header: Header) -> String? {
    var tables = header.tables
    let name = header.version == 5 ? entry(index, &tables, header) : oldEntry(index, &tables)
    guard let name, !name.isEmpty else { return nil }
    let bytes = name.split(separator: UInt8(ascii: "/")).last.map { Array($0) } ?? name
    return String(decoding: bytes, as: UTF8.self).visible
  }

  /// Reads the table of versions 2 to 4, where the first file has the number 1.
  private func oldEntry(_ index: UInt64, _ tables: inout ByteCursor) -> [UInt8]? {
    while !tables.string().isEmpty, !tables.hasFailed {}
    var number: UInt64 = 1
    while !tables.hasFailed {
      let name = tables.string()
      guard !name.isEmpty else { return nil }
      if number == index { return tables.hasFailed ? nil : name }
      for _ in 0..<3 { _ = tables.unsigned() }
      number += 1
    }
    return nil
  }

  private func entry(_ index: UInt64, _ tables: inout ByteCursor, _ header: Header) -> [UInt8]? {
    let directories = formats(&tables)
    let count = tables.unsigned()
    guard !directories.isEmpty || count == 0 else { return nil }
    var number: UInt64 = 0
    while number < count, !tables.hasFailed {
      _ = path(directories, &tables, header)
      number += 1
    }
    let files = formats(&tables)
    let fileCount = tables.unsigned()
    guard index < fileCount, !files.isEmpty else { return nil }
    number = 0
    while !tables.hasFailed {
      let name = path(files, &tables, header)
      if number == index { return tables.hasFailed ? nil : name }
      number += 1
    }
    return nil
  }

  private func formats(_ tables: inout ByteCursor) -> [(content: UInt64, form: UInt64)] {
    (0..<tables.number(UInt8.self)).map { _ in (tables.unsigned(), tables.unsigned()) }
  }

  /// The path (DW_LNCT_path) among an entry's fields.
  private func path(
    _ formats: [(content: UInt64, form: UInt64)], _ tables: inout ByteCursor, _ header: Header
  ) -> [UInt8]? {
    var found: [UInt8]?
    for (content, form) in formats {
      var text: [UInt8]?
      switch form {
      case 0x08: text = tables.string()
      case 0x1f: text = string(in: lineStrings, &tables, header)
      case 0x0e: text = string(in: strings, &tables, header)
      case 0x0b: tables.skip(1)
      case 0x05: tables.skip(2)
      case 0x06: tables.skip(4)
      case 0x07: tables.skip(8)
      case 0x1e: tables.skip(16)
      case 0x0f: _ = tables.unsigned()
      case 0x09: tables.skip(tables.unsigned())
      default: tables.fail()
      }
      if content == 1 { found = text }
    }
    return found
  }

  private func string(in section: UnsafeRawBufferPointer, _ tables: inout ByteCursor, _ header: Header)
    -> [UInt8]?
  {
    let offset = header.isWide ? tables.number(UInt64.self) : UInt64(tables.number(UInt32.self))
    guard let start = Int(exactly: offset), start < section.count else { return nil }
    var cursor = ByteCursor(section[start...])
    return cursor.string()
  }
}
