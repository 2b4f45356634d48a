import Glibc
import LinuxShims

/// SHA-256 of library files, computed by sha256sum(1) of the system: the host links no cryptography, and writes none.
enum LibraryDigest {
  private static let program = "/usr/bin/sha256sum"

  /// Digests in lower-case hexadecimal, by path; a file that cannot be read is not among them.
  ///
  /// - Throws: when the program is not there, or its output is none of its own.
  static func compute(_ paths: [String]) throws(SystemError) -> [(path: String, sha256: String)] {
    let files = paths.filter { access($0, R_OK) == 0 }
    guard !files.isEmpty else { return [] }
    var ends: [Int32] = [-1, -1]
    try checked("pipe2") { shim_pipe(&ends) }
    let output = FileDescriptor(raw: ends[0])
    defer { output.close() }
    let input = FileDescriptor(raw: ends[1])
    let pid: pid_t
    do throws(SystemError) {
      // -z: a line for each file, NUL at its end, and no escapes in names.
      pid = try Spawn.start(
        program, ["-z", "--"] + files, environment: ["LC_ALL": "C"], descriptors: [(input, STDOUT_FILENO)])
    } catch {
      input.close()
      throw error
    }
    input.close()
    var text: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = read(output.raw, &chunk, chunk.count)
      if count < 0 && errno == EINTR { continue }
      if count <= 0 { break }
      text += chunk[..<count]
    }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
    return text.split(separator: 0).compactMap { line in
      let parts = String(decoding: line, as: UTF8.self).split(separator: " ", maxSplits: 1)
      guard parts.count == 2, parts[0].utf8.count == 64 else { return nil }
      // "DIGEST  PATH", or "DIGEST *PATH".
      return (String(parts[1].dropFirst()), String(parts[0]))
    }
  }
}
