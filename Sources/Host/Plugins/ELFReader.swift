/// Numbers, strings and program headers of a 64-bit little-endian ELF file (elf(5)): each is there, or nil.
///
/// Memory is read in `number` alone, which looks at the bounds. The bytes outlive the reader.
struct ELFReader {
  private let file: UnsafeRawBufferPointer

  init(_ file: UnsafeRawBufferPointer) { self.file = file }

  /// A program header.
  struct Segment {
    var kind: UInt32
    /// In the file.
    var offset: UInt64
    /// In memory, before the image is given its place.
    var address: UInt64
    /// In the file.
    var size: UInt64
  }

  static let load: UInt32 = 1
  static let dynamic: UInt32 = 2
  /// PT_GNU_STACK: what the stack is to be allowed.
  static let stack: UInt32 = 0x6474_e551

  /// Of the dynamic section's entries.
  enum Tag {
    static let null: UInt64 = 0
    static let needed: UInt64 = 1
    static let strings: UInt64 = 5
    static let symbols: UInt64 = 6
    static let stringSize: UInt64 = 10
    static let symbolSize: UInt64 = 11
    static let inheritedPath: UInt64 = 15
    static let runPath: UInt64 = 29
  }

  struct Strings {
    var address: UInt64 = 0
    var size: UInt64 = 0
  }

  func number<Number: FixedWidthInteger & BitwiseCopyable>(_ offset: UInt64, _: Number.Type) -> Number? {
    guard let start = Int(exactly: offset), start <= file.count - MemoryLayout<Number>.size else {
      return nil
    }
    return file.loadUnaligned(fromByteOffset: start, as: Number.self)
  }

  /// The bytes up to a NUL; nil if there is none within `limit` bytes.
  func string(_ offset: UInt64, limit: UInt64) -> [UInt8]? {
    var bytes: [UInt8] = []
    var place = offset
    while UInt64(bytes.count) < limit, let byte = number(place, UInt8.self) {
      if byte == 0 { return bytes }
      bytes.append(byte)
      place += 1
    }
    return nil
  }

  /// The program headers. What is to be loaded lies within the file.
  func segments() throws(LibraryNeeds.Problem) -> [Segment] {
    guard let table = number(32, UInt64.self), let size = number(54, UInt16.self),
      let count = number(56, UInt16.self)
    else { throw .cutShort(size: file.count, wanted: 64) }
    guard count > 0 else { return [] }
    guard size == 56 else { throw .malformed("its program headers have \(size) bytes, not 56") }
    var found: [Segment] = []
    for index in 0..<UInt64(count) {
      let (start, isBeyond) = table.addingReportingOverflow(index * 56)
      guard !isBeyond, let kind = number(start, UInt32.self), let offset = number(start &+ 8, UInt64.self),
        let address = number(start &+ 16, UInt64.self), let filled = number(start &+ 32, UInt64.self)
      else { throw .cutShort(size: file.count, wanted: start &+ 56) }
      let (end, isTooLarge) = offset.addingReportingOverflow(filled)
      if kind == ELFReader.load, isTooLarge || end > UInt64(file.count) {
        throw .cutShort(size: file.count, wanted: isTooLarge ? .max : end)
      }
      found.append(Segment(kind: kind, offset: offset, address: address, size: filled))
    }
    return found
  }

  /// Where in the file an address lies; nil if it is not among what is loaded from it.
  func place(of address: UInt64, in loaded: [Segment]) -> UInt64? {
    guard
      let segment = loaded.first(where: { address >= $0.address && address - $0.address < $0.size })
    else { return nil }
    return segment.offset + (address - segment.address)
  }
}
