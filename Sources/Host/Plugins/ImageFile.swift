import Glibc

/// An ELF file (elf(5)) that code was loaded from, for the names and lines of its addresses. What it holds may be anything.
final class ImageFile {
  struct Symbol {
    var start: UInt64
    var name: String
  }

  private struct Section {
    var name: UInt32
    var kind: UInt32
    var flags: UInt64
    var offset: UInt64
    var size: UInt64
    var link: Int
    var bytes: UnsafeRawBufferPointer
  }

  private let file: UnsafeRawBufferPointer
  private var sections: [Section] = []
  private var names = 0
  private static let maximumSections = 4096

  /// Nil if the file cannot be read.
  init?(_ path: String) {
    let raw = open(path, O_RDONLY | O_CLOEXEC)
    guard raw >= 0 else { return nil }
    defer { close(raw) }
    var status = stat()
    guard fstat(raw, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size > 64 else {
      return nil
    }
    let count = Int(status.st_size)
    guard let base = mmap(nil, count, PROT_READ, MAP_PRIVATE, raw, 0), base != MAP_FAILED else { return nil }
    file = UnsafeRawBufferPointer(start: base, count: count)
    readSections()
  }

  deinit { munmap(UnsafeMutableRawPointer(mutating: file.baseAddress), file.count) }

  private func readSections() {
    let reader = ELFReader(file)
    // 0x7f E L F, 64 bits, little-endian.
    guard reader.number(0, UInt32.self) == 0x464c_457f, file[4] == 2, file[5] == 1,
      let table = reader.number(40, UInt64.self), let size = reader.number(58, UInt16.self), size >= 64,
      let count = reader.number(60, UInt16.self)
    else { return }
    names = Int(reader.number(62, UInt16.self) ?? 0)
    for index in 0..<min(Int(count), ImageFile.maximumSections) {
      let (start, isBeyond) = table.addingReportingOverflow(UInt64(index) * UInt64(size))
      guard !isBeyond, start <= UInt64(file.count), let name = reader.number(start, UInt32.self),
        let kind = reader.number(start + 4, UInt32.self),
        let flags = reader.number(start + 8, UInt64.self),
        let offset = reader.number(start + 24, UInt64.self),
        let length = reader.number(start + 32, UInt64.self), let link = reader.number(start + 40, UInt32.self)
      else { return }
      // SHT_NOBITS has none.
      let isThere = kind != 8 && offset <= UInt64(file.count) && length <= UInt64(file.count) - offset
      sections.append(
        Section(
          name: name, kind: kind, flags: flags, offset: offset, size: length, link: Int(link),
          bytes: isThere
            ? UnsafeRawBufferPointer(rebasing: file[Int(offset)..<Int(offset + length)])
            : UnsafeRawBufferPointer(start: nil, count: 0)))
    }
  }

  /// Empty if there is none, or it is compressed (SHF_COMPRESSED).
  private func section(_ name: String) -> UnsafeRawBufferPointer {
    let wanted = Array(name.utf8)
    for section in sections where section.flags & 0x800 == 0 {
      if string(section.name, in: names) == wanted { return section.bytes }
    }
    return UnsafeRawBufferPointer(start: nil, count: 0)
  }

  private func string(_ offset: UInt32, in index: Int) -> [UInt8] {
    guard sections.indices.contains(index), Int(offset) < sections[index].bytes.count else { return [] }
    var cursor = ByteCursor(sections[index].bytes[Int(offset)...])
    return cursor.string()
  }

  /// The function that holds the address.
  func symbol(at address: UInt64) -> Symbol? { symbols(at: [address])[address] }

  /// The functions that hold these addresses, by the full symbol table or else by the exported symbols; each table is read
  /// through once.
  func symbols(at addresses: [UInt64]) -> [UInt64: Symbol] {
    var found: [UInt64: Symbol] = [:]
    // SHT_SYMTAB, SHT_DYNSYM
    for kind in [UInt32(2), 11] {
      for section in sections where section.kind == kind {
        find(addresses.filter { found[$0] == nil }, in: section, &found)
      }
    }
    return found
  }

  private func find(_ addresses: [UInt64], in section: Section, _ found: inout [UInt64: Symbol]) {
    guard let lowest = addresses.min(), let highest = addresses.max() else { return }
    let bytes = section.bytes
    var entry = 0
    while entry + 24 <= bytes.count {
      defer { entry += 24 }
      let start = bytes.loadUnaligned(fromByteOffset: entry + 8, as: UInt64.self)
      let size = bytes.loadUnaligned(fromByteOffset: entry + 16, as: UInt64.self)
      // STT_FUNC, and defined here.
      guard start <= highest, start > lowest || lowest - start < max(size, 1), bytes[entry + 4] & 15 == 2,
        bytes.loadUnaligned(fromByteOffset: entry + 6, as: UInt16.self) != 0
      else { continue }
      let held = addresses.filter { $0 >= start && $0 - start < max(size, 1) && found[$0] == nil }
      guard !held.isEmpty else { continue }
      let name = string(bytes.loadUnaligned(fromByteOffset: entry, as: UInt32.self), in: section.link)
      guard !name.isEmpty else { continue }
      for address in held {
        found[address] = Symbol(start: start, name: String(decoding: name, as: UTF8.self))
      }
    }
  }

  /// Source lines of these addresses, of those that have one.
  func lines(of addresses: [UInt64]) -> [UInt64: LineTable.Line] {
    LineTable(
      lines: section(".debug_line"), lineStrings: section(".debug_line_str"), strings: section(".debug_str")
    ).find(addresses)
  }

  /// The address, before the image was given its place, of what lies at this offset in the file; nil if it is not loaded.
  func address(ofOffset offset: UInt64) -> UInt64? {
    do throws(LibraryNeeds.Problem) {
      let segment = try ELFReader(file).segments().first {
        $0.kind == ELFReader.load && offset >= $0.offset && offset - $0.offset < $0.size
      }
      return segment.map { $0.address &+ (offset - $0.offset) }
    } catch {
      return nil
    }
  }
}
