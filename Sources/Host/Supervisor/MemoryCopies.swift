import Glibc
import LinuxShims
import Synchronization

/// Copies of libraries in the supervisor's memory, for a state directory that cannot hold them: it cannot be written, is full, or
/// is on a file system from which nothing may be executed. A worker reaches them as `/proc/SUPERVISOR/fd/N`.
final class MemoryCopies: Sendable {
  private struct Copy {
    var file: SealedFile
    var sha256: String
    var name: String
  }

  /// By path.
  private let copies = Mutex<[String: Copy]>([:])

  /// A copy that is not held yet: the caller holds it, or closes it.
  ///
  /// - Parameter name: of the library's file.
  /// - Throws: also where the kernel would let no worker, nor sha256sum(1), reach it.
  static func make(of path: String, name: String) throws(SystemError) -> SealedFile {
    guard shim_is_dumpable() != 0 else { throw SystemError("share memory with workers (prctl)", EACCES) }
    let file = try SealedFile(copying: path, name: name, limit: LibraryFile.maximum)
    do throws(SystemError) { try MappedFile.checkExecutable(file.path) } catch {
      file.close()
      throw error
    }
    return file
  }

  /// Holds the copy until no digest that is kept is this one; its path. A copy of the same content and name is there already:
  /// then it is that one's.
  func hold(_ file: SealedFile, sha256: String, name: String) -> String {
    copies.withLock { copies in
      if let path = copies.first(where: { $0.value.sha256 == sha256 && $0.value.name == name })?.key {
        file.close()
        return path
      }
      copies[file.path] = Copy(file: file, sha256: sha256, name: name)
      return file.path
    }
  }

  func holds(_ path: String) -> Bool { copies.withLock { $0[path] != nil } }

  func path(sha256: String) -> String? {
    copies.withLock { $0.first { $0.value.sha256 == sha256 }?.key }
  }

  /// Of the file that was copied; nil if `path` is none of these.
  func name(of path: String) -> String? { copies.withLock { $0[path]?.name } }

  func keep(only digests: Set<String>) {
    copies.withLock { copies in
      for (path, copy) in copies where !digests.contains(copy.sha256) {
        copy.file.close()
        copies[path] = nil
      }
    }
  }
}
