import Glibc
import LinuxShims

/// The directory that the host keeps its state in.
enum StateDirectory {
  /// Makes it if need be, for the host's user alone, and locks it: one host a directory. The lock is the descriptor's.
  static func open(_ path: String) throws(SystemError) -> FileDescriptor {
    try make(path)
    let lock = try checked("open \(path)/lock") {
      Glibc.open("\(path)/\(lockName)", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    }
    if shim_lock(lock) < 0 {
      let code = errno
      close(lock)
      throw SystemError(
        code == EWOULDBLOCK ? "the state directory \(path) is another running host's" : "flock \(path)/lock",
        code)
    }
    return FileDescriptor(raw: lock)
  }

  /// The same; nil if nothing can be written there, as on a disk that was remounted read-only after errors. Then the host
  /// goes without what it would keep: it is wanted most when something is broken.
  static func openIfWritable(_ path: String) throws(SystemError) -> FileDescriptor? {
    do throws(SystemError) {
      return try open(path)
    } catch {
      guard [EROFS, EACCES, EPERM].contains(error.code) else { throw error }
      Log.shared.write(
        .error,
        "the state directory cannot be written: \(error); no fault is kept, no library rolled back, and commands do "
          + "not reach this host")
      return nil
    }
  }

  static let lockName = "lock"

  /// Whether the file that is open is the one of this name still.
  static func isInPlace(_ open: FileDescriptor, at path: String) -> Bool {
    var (ours, found) = (stat(), stat())
    return fstat(open.raw, &ours) == 0 && stat(path, &found) == 0 && ours.st_dev == found.st_dev
      && ours.st_ino == found.st_ino
  }

  /// A directory with all that lead to it; those that are made are the host's user's alone.
  static func make(_ path: String) throws(SystemError) {
    var made = ""
    for part in path.split(separator: "/", omittingEmptySubsequences: false) {
      made += part + "/"
      if mkdir(made, 0o700) < 0, errno != EEXIST { throw SystemError("mkdir \(made)") }
    }
  }

  /// Puts a file in place whole or not at all.
  static func replace(_ path: String, with bytes: [UInt8]) throws(SystemError) {
    let draft = "\(path).new"
    let descriptor = FileDescriptor(
      raw: try checked("open \(draft)") {
        Glibc.open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
      })
    defer { descriptor.close() }
    do throws(SystemError) {
      try descriptor.writeAll(bytes)
      try checked("rename \(path)") { rename(draft, path) }
    } catch {
      unlink(draft)
      throw error
    }
  }

  /// Names in a directory, without those that begin with a dot; none if it cannot be read.
  static func entries(of path: String) -> [String] {
    guard let directory = opendir(path) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names
  }

  /// A directory of files, with the files. Best effort.
  static func remove(directory path: String) {
    for name in entries(of: path) { unlink("\(path)/\(name)") }
    rmdir(path)
  }
}
