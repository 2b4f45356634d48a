import Glibc

/// A directory for the host's user alone, which goes with all that is in it.
struct TemporaryDirectory {
  let path: String

  init() throws(SystemError) {
    let base = Environment.all["TMPDIR"].flatMap { $0.isEmpty ? nil : $0 } ?? "/tmp"
    var template = Array("\(base)/bulkhead-inspect-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw SystemError("mkdtemp in \(base)") }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Best effort: what cannot be removed is left to the system's own cleaning. Links are not followed.
  func remove() { TemporaryDirectory.remove(path) }

  private static func remove(_ path: String) {
    if unlink(path) == 0 || errno != EISDIR { return }
    for name in entries(of: path) { remove("\(path)/\(name)") }
    rmdir(path)
  }

  private static func entries(of path: String) -> [String] {
    guard let directory = opendir(path) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names
  }
}
