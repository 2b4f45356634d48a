import Glibc
import LinuxShims

/// Names for the program counters of a frozen thread: `function + offset in library (file.c:12)`, innermost first.
///
/// The dynamic symbols name only what a library exports; the functions of a plugin are found in its file's full symbol
/// table, and their lines in its line table, where it has not been stripped of them. Not for a signal handler: all this
/// allocates, and reads files.
enum Backtrace {
  /// Of a thread of this process. The loader must not be at work for a thread that is frozen: its lock is taken.
  static func symbolize(_ counters: [UInt64]) -> [String] {
    symbolize(counters) { address in
      var found = shim_place()
      guard let pointer = UnsafeRawPointer(bitPattern: UInt(address)), shim_find_place(pointer, &found) != 0,
        let file = found.file, let base = found.base
      else { return nil }
      let path = String(cString: file)
      var exported: ImageFile.Symbol?
      if let symbol = found.symbol, let start = found.symbol_start {
        exported = ImageFile.Symbol(
          start: UInt64(UInt(bitPattern: start)) &- UInt64(UInt(bitPattern: base)),
          name: String(cString: symbol))
      }
      return Place(
        path: path, name: LibraryLoader.original(of: path) ?? path,
        address: address &- UInt64(UInt(bitPattern: base)), exported: exported)
    }
  }

  /// Of a thread of another process.
  static func symbolize(_ counters: [UInt64], in map: MemoryMap) -> [String] {
    symbolize(counters) { address in map.place(of: address) }
  }

  /// Where an address lies.
  struct Place {
    var path: String
    /// Under which it is known.
    var name: String
    /// From the start of the image.
    var address: UInt64
    /// What the loader has there, should the file have no name for it.
    var exported: ImageFile.Symbol?
  }

  private static func symbolize(_ counters: [UInt64], _ find: (UInt64) -> Place?) -> [String] {
    let places = counters.enumerated().map { index, counter in
      // A return address stands behind its call: the call may have been the function's last instruction.
      find(index == 0 ? counter : counter &- 1)
    }
    var files: [String: ImageFile] = [:]
    var lines: [String: [UInt64: LineTable.Line]] = [:]
    for place in places.compactMap({ $0 }) where files[place.path] == nil {
      guard let file = ImageFile(place.path) else { continue }
      files[place.path] = file
      let addresses = Set(places.compactMap { $0 }.filter { $0.path == place.path }.map(\.address))
      lines[place.path] = file.lines(of: Array(addresses))
    }
    return zip(counters, places).map { counter, place in
      guard let place else { return "0x" + String(counter, radix: 16) }
      let library = place.name.split(separator: "/").last.map(String.init) ?? place.name
      let line = lines[place.path]?[place.address].map { " (\($0.file):\($0.number))" } ?? ""
      if let symbol = files[place.path]?.symbol(at: place.address) ?? place.exported {
        return "\(demangled(symbol.name)) + \(place.address &- symbol.start) in \(library)\(line)"
      }
      return "0x\(String(place.address, radix: 16)) in \(library)\(line)"
    }
  }

  private typealias Demangler =
    @convention(c) (
      UnsafePointer<CChar>?, UnsafeMutablePointer<CChar>?, UnsafeMutablePointer<Int>?,
      UnsafeMutablePointer<Int32>?
    ) -> UnsafeMutablePointer<CChar>?

  /// C++'s own, which comes with the Swift runtime's libstdc++; nil where there is none.
  private static let demangler: Demangler? = dlsym(nil, "__cxa_demangle").map {
    unsafeBitCast($0, to: Demangler.self)
  }

  /// Of a name that is demangled, in bytes.
  private static let longestName = 2048

  /// Names of Swift, C++ and Rust as they stand in the source.
  static func demangled(_ name: String) -> String {
    guard name.utf8.count <= longestName else { return String(name.prefix(256)).visible + "…" }
    if name.hasPrefix("$s") || name.hasPrefix("_$s") {
      guard let text = swift_demangle(name, name.utf8.count, nil, nil, 0) else { return name.visible }
      defer { free(text) }
      return String(cString: text)
    }
    guard name.hasPrefix("_Z"), let demangler else { return name.visible }
    var status: Int32 = 0
    guard let text = demangler(name, nil, nil, &status) else { return name.visible }
    defer { free(text) }
    return withoutHash(String(cString: text))
  }

  /// Without what Rust adds to a name: `::h` and 16 hexadecimal digits.
  private static func withoutHash(_ name: String) -> String {
    let bytes = Array(name.utf8)
    guard bytes.count > 19, bytes[bytes.count - 19..<bytes.count - 16].elementsEqual("::h".utf8),
      bytes.suffix(16).allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
    else { return name }
    return String(decoding: bytes.dropLast(19), as: UTF8.self)
  }
}
