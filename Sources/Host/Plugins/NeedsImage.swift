/// A library without code, made to have the loader find what another library needs: an ELF image (elf(5)) of a dynamic
/// section and its strings. A pure value.
enum NeedsImage {
  private static let headerSize = 64
  private static let segmentSize = 56
  private static let segmentCount = 3
  private static let symbolSize = 24
  private static let symbols = headerSize + segmentCount * segmentSize
  private static let dynamic = symbols + symbolSize

  /// An image for the same machine, which needs the same libraries, in the same order.
  ///
  /// - Parameter searchPath: where they are looked for.
  static func bytes(needing needs: LibraryNeeds, searchPath: LibraryNeeds.SearchPath) -> [UInt8] {
    var strings: [UInt8] = [0]
    func add(_ text: [UInt8]) -> UInt64 {
      defer { strings += text + [0] }
      return UInt64(strings.count)
    }
    var entries: [(tag: UInt64, value: UInt64)] = needs.names.map { (ELFReader.Tag.needed, add($0)) }
    let pathTag = searchPath.isInherited ? ELFReader.Tag.inheritedPath : ELFReader.Tag.runPath
    entries.append((pathTag, add(searchPath.text)))
    // These, and the null that ends them.
    let stringTable = dynamic + (entries.count + 5) * 16
    entries += [
      (ELFReader.Tag.strings, UInt64(stringTable)), (ELFReader.Tag.stringSize, UInt64(strings.count)),
      (ELFReader.Tag.symbols, UInt64(symbols)), (ELFReader.Tag.symbolSize, UInt64(symbolSize)),
      (ELFReader.Tag.null, 0),
    ]
    let size = stringTable + strings.count
    var image = Writer()
    writeHeader(for: needs, to: &image)
    // The loader writes addresses into the dynamic section; and no stack need be made executable for this.
    image.segment(ELFReader.load, at: 0, size: size, alignment: 0x10000)
    image.segment(ELFReader.dynamic, at: dynamic, size: entries.count * 16, alignment: 8)
    image.segment(ELFReader.stack, at: 0, size: 0, alignment: 16)
    // The one symbol that each table begins with.
    image.bytes += [UInt8](repeating: 0, count: symbolSize)
    for entry in entries {
      image.add(entry.tag)
      image.add(entry.value)
    }
    return image.bytes + strings
  }

  private static func writeHeader(for needs: LibraryNeeds, to image: inout Writer) {
    // 64 bits, little-endian, version 1.
    image.bytes += [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
    // ET_DYN
    image.add(UInt16(3))
    image.add(needs.machine)
    image.add(UInt32(1))
    // No entry point; program headers; no section headers.
    image.add(UInt64(0))
    image.add(UInt64(headerSize))
    image.add(UInt64(0))
    image.add(needs.flags)
    image.add(UInt16(headerSize))
    image.add(UInt16(segmentSize))
    image.add(UInt16(segmentCount))
    for _ in 0..<3 { image.add(UInt16(0)) }
  }

  private struct Writer {
    var bytes: [UInt8] = []

    mutating func add<Number: FixedWidthInteger>(_ number: Number) {
      withUnsafeBytes(of: number.littleEndian) { bytes += $0 }
    }

    /// To be read and written.
    mutating func segment(_ kind: UInt32, at offset: Int, size: Int, alignment: UInt64) {
      add(kind)
      add(UInt32(6))
      for _ in 0..<3 { add(UInt64(offset)) }
      for _ in 0..<2 { add(UInt64(size)) }
      add(alignment)
    }
  }
}
