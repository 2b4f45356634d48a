import Glibc
import LinuxShims
import Synchronization

/// Maps plugins' libraries from private copies, never from the files that the configuration names: code that is mapped from a
/// file changes with it, and a worker whose code changes dies.
///
/// A library finds others beside itself by `$ORIGIN` (ld.so(8)), which in a copy is the copy's directory. So what it needs is
/// loaded before it, from where it would be for the original, through an image that has the same needs and `$ORIGIN` written
/// out: the loader itself does the searching, by its own rules, and then finds the copy's needs loaded already.
enum LibraryLoader {
  /// Maps a private copy of `original`. Its constructors run, and those of the libraries that it needs. For the main
  /// thread, before any loop runs.
  ///
  /// - Parameters:
  ///   - copy: nil if there is none, or none that may be read: one is made in memory, for this process alone.
  ///   - original: the file that the configuration names, which need not be there. Messages name it.
  /// - Throws: `load-failed`, with what the loader says.
  static func map(_ copy: String?, of original: String) throws(PluginFailure) -> UnsafeMutableRawPointer {
    let path = if let copy { copy } else { try ownCopy(of: original) }
    originals.withLock { $0[path] = original }
    let needs = try needs(of: path, original)
    if let name = needs?.nameFromOrigin {
      throw PluginFailure(
        reason: .loadFailed,
        message:
          "\(original) needs \(String(decoding: name, as: UTF8.self)), named by where it lies itself, and "
          + "it is loaded from a copy: link it by name, with -rpath '$ORIGIN'")
    }
    if let needs, let searchPath = needs.searchPath(from: Array(directory(of: original).utf8)) {
      try load(needs, searchPath, of: original)
    }
    guard let image = shim_dlopen(path) else {
      throw PluginFailure(reason: .loadFailed, message: lastError(naming: original, for: path))
    }
    return image
  }

  /// What was mapped, and the files that it was copied from, which are to be named in its place.
  static var copies: [(path: String, original: String)] {
    originals.withLock { found in found.map { (path: $0.key, original: $0.value) } }
  }

  private static let originals = Mutex<[String: String]>([:])

  /// Stays open, for the names of its functions in backtraces.
  private static func ownCopy(of original: String) throws(PluginFailure) -> String {
    do throws(SystemError) {
      let file = try unloaded(
        SealedFile(copying: original, name: name(of: original), limit: LibraryFile.maximum))
      return file.path
    } catch {
      throw PluginFailure(reason: .loadFailed, message: "\(original) cannot be copied: \(error)")
    }
  }

  // MARK: What it needs

  /// Nil if the file is in no format that this host reads: the loader will say so.
  private static func needs(of path: String, _ original: String) throws(PluginFailure) -> LibraryNeeds? {
    var problem = LibraryNeeds.Problem.otherFormat
    do throws(SystemError) {
      let found = try MappedFile.withBytes(of: path) { bytes -> LibraryNeeds? in
        do throws(LibraryNeeds.Problem) { return try LibraryNeeds(bytes) } catch {
          problem = error
          return nil
        }
      }
      if let found { return found }
    } catch {
      throw PluginFailure(reason: .loadFailed, message: "\(original): its copy cannot be read: \(error)")
    }
    switch problem {
    case .otherFormat: return nil
    case .cutShort(let size, _):
      throw PluginFailure(
        reason: .loadFailed,
        message: "\(original) is cut short: it has \(size) bytes, and its headers speak of more")
    case .malformed(let what):
      throw PluginFailure(reason: .loadFailed, message: "\(original) is malformed: \(what)")
    }
  }

  /// Loads what the original needs, by its search path.
  private static func load(
    _ needs: LibraryNeeds, _ searchPath: LibraryNeeds.SearchPath, of original: String
  ) throws(PluginFailure) {
    let file: SealedFile
    do throws(SystemError) {
      let image = NeedsImage.bytes(needing: needs, searchPath: searchPath)
      file = try unloaded(SealedFile(holding: image, name: "needs of \(name(of: original))"))
    } catch {
      throw PluginFailure(
        reason: .loadFailed, message: "\(original): what it needs cannot be looked for: \(error)")
    }
    defer { file.close() }
    guard shim_dlopen(file.path) != nil else {
      throw PluginFailure(reason: .loadFailed, message: lastError(naming: original, for: file.path))
    }
  }

  /// The same file with a path by which the loader knows no image: it takes what has the name of one for that one, though the
  /// descriptor of that one has been closed.
  private static func unloaded(_ made: SealedFile) throws(SystemError) -> SealedFile {
    var file = made
    while shim_is_loaded(file.path) != 0 {
      let taken = file
      defer { taken.close() }
      file = SealedFile(
        descriptor: FileDescriptor(
          raw: try checked("copy of a descriptor") {
            fcntl(taken.descriptor.raw, F_DUPFD_CLOEXEC, taken.descriptor.raw + 1)
          }))
    }
    return file
  }

  // MARK: Names

  /// What dlerror(3) says, with the original named in the place of what was loaded for it.
  private static func lastError(naming original: String, for path: String) -> String {
    guard let error = dlerror() else { return "\(original): dlopen failed" }
    let text = replacing(path, by: original, in: String(cString: error))
    return text.hasPrefix(original) ? text : "\(original): \(text)"
  }

  private static func replacing(_ old: String, by new: String, in text: String) -> String {
    let (old, new) = (Array(old.utf8), Array(new.utf8))
    var written: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let first = rest.first {
      if rest.starts(with: old) {
        written += new
        rest = rest.dropFirst(old.count)
      } else {
        written.append(first)
        rest = rest.dropFirst()
      }
    }
    return String(decoding: written, as: UTF8.self)
  }

  private static func name(of path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
  }

  /// As the loader has it for a library of this path: links are not followed.
  private static func directory(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}
