import Glibc
import LinuxShims

/// Names for the program counters of a frozen thread: `function + offset in library (file.c:12)`, innermost first.
///
/// The dynamic symbols name only what a library exports; the functions of a plugin are found in its file's full symbol
/// table, and their lines in its line table, where it has not been stripped of them. Not for a signal handler: all this
/// allocates, and reads files.
enum Backtrace {
  /// Names the counters of a thread of this process. It takes no lock of the loader, which a frozen thread may hold.
  static func symbolize(_ counters: [UInt64]) -> [String] {
    do throws(FileContents.Failure) {
      return symbolize(counters, in: try MemoryMap(of: "self", copies: LibraryLoader.copies))
    } catch {
      return plain(counters)
    }
  }

  /// The counters themselves, where nothing more can be said.
  static func plain(_ counters: [UInt64]) -> [String] { counters.map { "0x" + String($0, radix: 16) } }

  /// Looks up what could not be looked up beside a thread that is frozen in the loader. Before any plugin is loaded.
  static func prepare() { _ = demangler }

  /// Where an address lies.
  struct Place {
    var path: String
    /// Under which it is known.
    var name: String
    /// In the file.
    var offset: UInt64
  }

  private struct Image {
    let file: ImageFile
    /// These are found by address; there is an address for each place in this file.
    var symbols: [UInt64: ImageFile.Symbol] = [:]
    var lines: [UInt64: LineTable.Line] = [:]

    func address(of place: Place) -> UInt64 { file.address(ofOffset: place.offset) ?? place.offset }
  }

  /// Names the counters of a thread of the process that `map` describes.
  static func symbolize(_ counters: [UInt64], in map: MemoryMap) -> [String] {
    let places = counters.enumerated().map { index, counter in
      // A return address stands behind its call: the call may have been the function's last instruction.
      map.place(of: index == 0 ? counter : counter &- 1)
    }
    var images: [String: Image] = [:]
    for (path, places) in Dictionary(grouping: places.compactMap { $0 }, by: \.path) {
      guard let file = ImageFile(path) else { continue }
      var image = Image(file: file)
      let addresses = Array(Set(places.map { image.address(of: $0) }))
      image.symbols = file.symbols(at: addresses)
      image.lines = file.lines(of: addresses)
      images[path] = image
    }
    return zip(counters, places).map { counter, place in
      guard let place else { return "0x" + String(counter, radix: 16) }
      let library = place.name.split(separator: "/").last.map(String.init) ?? place.name
      let image = images[place.path]
      let address = image?.address(of: place) ?? place.offset
      let line = image?.lines[address].map { " (\($0.file):\($0.number))" } ?? ""
      if let symbol = image?.symbols[address] {
        return "\(demangled(symbol.name)) + \(address &- symbol.start) in \(library)\(line)"
      }
      return "0x\(String(address, radix: 16)) in \(library)\(line)"
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

  /// A longer name is not demangled. This is a number of bytes.
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
