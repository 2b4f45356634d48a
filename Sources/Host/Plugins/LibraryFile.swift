import Glibc

/// What must hold of a library's file before the loader maps it.
enum LibraryFile {
  /// In bytes: what is copied and digested while nobody else is served by the supervisor.
  static let maximum: Int64 = 512 << 20

  /// Throws `unsafe-file` if somebody else could have put code into the file, and `load-failed` if there is none.
  ///
  /// Only root, the host's user and, for a file that its group may write, the host's own group may be able to change
  /// it, or to put another in its place. `/proc/self/exe` and links are followed: what counts is the file loaded.
  static func check(_ path: String) throws(PluginFailure) {
    var status = stat()
    guard stat(path, &status) == 0 else {
      let code = errno
      let hint = code == ENOENT ? nearest(to: path) : ""
      throw PluginFailure(reason: .loadFailed, message: "\(path): \(String(cString: strerror(code)))\(hint)")
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw PluginFailure(reason: .loadFailed, message: "\(path) is not a regular file")
    }
    guard status.st_size <= maximum else {
      throw PluginFailure(
        reason: .loadFailed,
        message: "\(path) is larger than the \(ValueText.render(size: Int(maximum))) that a library may have")
    }
    if let fault = weakness(status) {
      throw PluginFailure(reason: .unsafeFile, message: "\(path) \(fault)")
    }
    let directory = parent(of: path)
    guard stat(directory, &status) == 0 else {
      throw PluginFailure(reason: .loadFailed, message: "\(directory): \(String(cString: strerror(errno)))")
    }
    let isSticky = status.st_mode & S_ISVTX != 0
    if let fault = weakness(status), !isSticky {
      throw PluginFailure(reason: .unsafeFile, message: "\(directory), where it lies, \(fault)")
    }
  }

  /// Of the libraries in its directory, the one that was most likely meant, as a bare name.
  private static func nearest(to path: String) -> String {
    func name(_ file: String) -> String? {
      guard file.hasSuffix(".so") else { return nil }
      let stem = file.dropLast(3)
      return String(stem.hasPrefix("lib") ? stem.dropFirst(3) : stem)
    }
    guard let wanted = name(path.split(separator: "/").last.map(String.init) ?? "") else { return "" }
    return NearestName.hint(
      for: wanted, among: StateDirectory.entries(of: parent(of: path)).prefix(4096).compactMap(name).sorted())
  }

  private static func weakness(_ status: stat) -> String? {
    if status.st_uid != 0 && status.st_uid != geteuid() {
      return "is owned by user \(status.st_uid), neither root nor the host's user"
    }
    if status.st_mode & S_IWOTH != 0 { return "can be written by everybody" }
    if status.st_mode & S_IWGRP != 0 && status.st_gid != 0 && status.st_gid != getegid() {
      return "can be written by group \(status.st_gid)"
    }
    return nil
  }

  private static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}
