/// Which libraries an ELF library (elf(5)) needs, and where it says that they are to be looked for. A pure value.
///
/// It is read from the program headers and the dynamic section, as the loader reads them. Files arrive here half copied or
/// spoilt: whatever the bytes are, reading them ends, and nothing outside of them is touched.
struct LibraryNeeds: Sendable, Equatable {
  /// `DT_NEEDED`, in order.
  var names: [[UInt8]] = []
  /// `DT_RUNPATH`; without that `DT_RPATH`, which is searched for the libraries of these libraries too.
  var searchPath: SearchPath?
  /// `e_machine` and `e_flags`: for which processors it was made.
  var machine: UInt16 = 0
  var flags: UInt32 = 0

  struct SearchPath: Sendable, Equatable {
    /// Directories with colons between them.
    var text: [UInt8]
    var isInherited: Bool
  }

  /// Why a file cannot be read as a library.
  enum Problem: Error, Equatable {
    /// It is no 64-bit little-endian ELF file. What it is, the loader says best.
    case otherFormat
    /// A part that the loader would map lies beyond the end of the file: touching it would be a SIGBUS.
    case cutShort(size: Int, wanted: UInt64)
    case malformed(String)
  }

  /// A library has a few dozen at most; what says otherwise is no library.
  static let maximumNames = 4096
  /// In bytes: of a name, and of a search path.
  static let maximumText = 64 << 10

  init() {}

  init(_ file: UnsafeRawBufferPointer) throws(Problem) {
    let reader = ELFReader(file)
    // 0x7f E L F, 64 bits, little-endian.
    guard reader.number(0, UInt32.self) == 0x464c_457f, reader.number(4, UInt16.self) == 0x0102 else {
      throw .otherFormat
    }
    guard let machine = reader.number(18, UInt16.self), let flags = reader.number(48, UInt32.self) else {
      throw .cutShort(size: file.count, wanted: 64)
    }
    self.machine = machine
    self.flags = flags
    let segments = try reader.segments()
    guard let dynamic = segments.first(where: { $0.kind == ELFReader.dynamic }) else { return }
    try read(reader, dynamic, segments.filter { $0.kind == ELFReader.load })
  }

  private mutating func read(
    _ reader: ELFReader, _ dynamic: ELFReader.Segment, _ loaded: [ELFReader.Segment]
  ) throws(Problem) {
    var needed: [UInt64] = []
    var (runPath, inheritedPath): (UInt64?, UInt64?) = (nil, nil)
    var strings = ELFReader.Strings()
    for entry in 0..<(dynamic.size / 16) {
      guard let place = reader.place(of: dynamic.address &+ entry &* 16, in: loaded),
        let tag = reader.number(place, UInt64.self), let value = reader.number(place &+ 8, UInt64.self)
      else { throw .malformed("its dynamic section is outside of what is loaded") }
      switch tag {
      case ELFReader.Tag.null: return try finish()
      case ELFReader.Tag.needed:
        guard needed.count < LibraryNeeds.maximumNames else {
          throw .malformed("it needs more than \(LibraryNeeds.maximumNames) libraries")
        }
        needed.append(value)
      case ELFReader.Tag.strings: strings.address = value
      case ELFReader.Tag.stringSize: strings.size = value
      case ELFReader.Tag.inheritedPath: inheritedPath = value
      case ELFReader.Tag.runPath: runPath = value
      default: break
      }
    }
    try finish()

    func finish() throws(Problem) {
      guard !needed.isEmpty || runPath != nil || inheritedPath != nil else { return }
      guard let table = reader.place(of: strings.address, in: loaded) else {
        throw .malformed("its string table is outside of what is loaded")
      }
      func text(_ offset: UInt64) throws(Problem) -> [UInt8] {
        guard offset < strings.size,
          let found = reader.string(
            table &+ offset, limit: min(strings.size &- offset, UInt64(LibraryNeeds.maximumText)))
        else { throw .malformed("the name of a library that it needs is outside of its string table") }
        return found
      }
      for offset in needed { names.append(try text(offset)) }
      if let runPath {
        searchPath = SearchPath(text: try text(runPath), isInherited: false)
      } else if let inheritedPath {
        searchPath = SearchPath(text: try text(inheritedPath), isInherited: true)
      }
    }
  }
}

// MARK: $ORIGIN

extension LibraryNeeds {
  /// The search path with `$ORIGIN` and `${ORIGIN}` written out as `directory` (ld.so(8)); nil if it has neither, so that it
  /// means the same wherever the library lies. `$LIB` and `$PLATFORM` are left to the loader.
  func searchPath(from directory: [UInt8]) -> SearchPath? {
    guard let path = searchPath else { return nil }
    let written = LibraryNeeds.expandingOrigin(path.text, to: directory)
    return written == path.text ? nil : SearchPath(text: written, isInherited: path.isInherited)
  }

  /// The first needed library that is named by a path which begins at this one's directory.
  var nameFromOrigin: [UInt8]? {
    names.first { LibraryNeeds.expandingOrigin($0, to: []) != $0 }
  }

  private static let origin = Array("ORIGIN".utf8)

  private static func expandingOrigin(_ text: [UInt8], to directory: [UInt8]) -> [UInt8] {
    var written: [UInt8] = []
    var rest = text[...]
    while let first = rest.first {
      rest = rest.dropFirst()
      guard first == UInt8(ascii: "$"), let end = endOfOrigin(rest) else {
        written.append(first)
        continue
      }
      written += directory
      rest = rest[end...]
    }
    return written
  }

  /// Behind the word, if it stands at the start: in braces, or with no further letter, digit or underscore behind it.
  private static func endOfOrigin(_ text: ArraySlice<UInt8>) -> Int? {
    let isBraced = text.first == UInt8(ascii: "{")
    let word = isBraced ? text.dropFirst() : text
    guard word.starts(with: origin) else { return nil }
    let end = word.startIndex + origin.count
    let next = end < word.endIndex ? word[end] : 0
    if isBraced { return next == UInt8(ascii: "}") ? end + 1 : nil }
    switch next {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
      return nil
    default: return end
    }
  }
}
