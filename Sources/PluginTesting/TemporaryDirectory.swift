import Foundation

/// A directory of one's own, mode 0700, removed with everything in it when the value goes.
public final class TemporaryDirectory {
  public let path: String

  /// - Throws: `HarnessError.system`.
  public init() throws {
    // Short, so that the paths of Unix sockets in it stay below their 108 bytes.
    var template = Array("/tmp/bulkhead-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw StreamSocket.failure("mkdtemp") }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit {
    // Nothing hangs on it but disk space.
    try? FileManager.default.removeItem(atPath: path)  // lint: allow
  }

  /// Writes a file below the directory, through a rename, as an editor does.
  ///
  /// - Returns: its path.
  @discardableResult
  public func write(_ name: String, _ text: String, mode: Int = 0o600) throws -> String {
    try write(name, Array(text.utf8), mode: mode)
  }

  @discardableResult
  public func write(_ name: String, _ bytes: [UInt8], mode: Int = 0o600) throws -> String {
    let target = "\(path)/\(name)"
    let draft = target + ".new"
    try FileManager.default.createDirectory(
      atPath: (target as NSString).deletingLastPathComponent, withIntermediateDirectories: true,
      attributes: [.posixPermissions: 0o755])
    try Data(bytes).write(to: URL(fileURLWithPath: draft))
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: draft)
    guard rename(draft, target) == 0 else { throw StreamSocket.failure("rename") }
    return target
  }

  /// Copies a file into the directory, for a test to spoil.
  ///
  /// - Returns: the copy's path.
  @discardableResult
  public func copy(_ source: String, as name: String, mode: Int = 0o755) throws -> String {
    try write(name, [UInt8](Data(contentsOf: URL(fileURLWithPath: source))), mode: mode)
  }
}
