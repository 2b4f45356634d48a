import Glibc
import LinuxShims

/// SHA-256 of library files, computed by sha256sum(1) of the system: the host links no cryptography, and writes none.
enum LibraryDigest {
  private static let program = "/usr/bin/sha256sum"

  /// Digests in lower-case hexadecimal, by path; a file that cannot be read, or is larger than a library may be, is not among
  /// them.
  ///
  /// Several processes share the files, as a start waits for this.
  ///
  /// - Throws: when the program is not there.
  static func compute(_ paths: [String]) throws(SystemError) -> [(path: String, sha256: String)] {
    var started: [(pid: pid_t, output: FileDescriptor)] = []
    defer {
      for process in started {
        process.output.close()
        _ = Children.reap(process.pid)
      }
    }
    let processors = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    for files in shares(of: paths.filter(isReadable), among: min(processors, 4)) {
      started.append(try start(files))
    }
    return started.flatMap { digests(in: read($0.output)) }
  }

  /// The files divided so that each share is about as large in bytes; none is empty.
  static func shares(of files: [String], among count: Int) -> [[String]] {
    var shares: [(size: Int64, files: [String])] = Array(repeating: (0, []), count: max(1, count))
    for (size, file) in files.map({ (size(of: $0), $0) }).sorted(by: { $0.0 > $1.0 }) {
      guard let smallest = shares.indices.min(by: { shares[$0].size < shares[$1].size }) else { continue }
      shares[smallest].size += max(1, size)
      shares[smallest].files.append(file)
    }
    return shares.map(\.files).filter { !$0.isEmpty }
  }

  /// Sha256sum would wait for a named pipe until somebody writes to it.
  private static func isReadable(_ path: String) -> Bool {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return false }
    return status.st_size <= LibraryFile.maximum && access(path, R_OK) == 0
  }

  private static func size(of path: String) -> Int64 {
    var status = stat()
    return stat(path, &status) == 0 ? Int64(status.st_size) : 0
  }

  private static func start(_ files: [String]) throws(SystemError) -> (pid: pid_t, output: FileDescriptor) {
    var ends: [Int32] = [-1, -1]
    try checked("pipe2") { shim_pipe(&ends) }
    let output = FileDescriptor(raw: ends[0])
    let input = FileDescriptor(raw: ends[1])
    defer { input.close() }
    do throws(SystemError) {
      // -z: a line for each file, NUL at its end, and no escapes in names.
      let pid = try Spawn.start(
        program, ["-z", "--"] + files, environment: ["LC_ALL": "C"], descriptors: [(input, STDOUT_FILENO)])
      return (pid, output)
    } catch {
      output.close()
      throw error
    }
  }

  private static func read(_ output: FileDescriptor) -> [UInt8] {
    var text: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = Glibc.read(output.raw, &chunk, chunk.count)
      if count < 0 && errno == EINTR { continue }
      if count <= 0 { return text }
      text += chunk[..<count]
    }
  }

  private static func digests(in text: [UInt8]) -> [(path: String, sha256: String)] {
    text.split(separator: 0).compactMap { line in
      let parts = String(decoding: line, as: UTF8.self).split(separator: " ", maxSplits: 1)
      guard parts.count == 2, parts[0].utf8.count == 64 else { return nil }
      // "DIGEST  PATH", or "DIGEST *PATH".
      return (String(parts[1].dropFirst()), String(parts[0]))
    }
  }
}
