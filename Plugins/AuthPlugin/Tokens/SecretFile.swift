import Glibc

/// Signing secrets, one a line, in a file that only its owner can read. Lines that are empty or begin with `#` do not count.
struct SecretFile: Sendable {
  /// Who has made the secrets, and so how they are written.
  enum Origin {
    /// This plugin: 64 random bytes in base64url.
    case plugin
    /// An operator: the bytes as they stand.
    case operation
  }

  let path: String
  let origin: Origin

  enum Failure: Error, CustomStringConvertible {
    case system(path: String, operation: String, code: Int32)
    /// Not a regular file, another's, or readable by others.
    case unsafe(path: String, reason: String)
    /// Not what this plugin writes.
    case malformed(path: String)

    var description: String {
      switch self {
      case .system(let path, let operation, let code):
        "cannot \(operation) \(path): \(String(cString: strerror(code)))"
      case .unsafe(let path, let reason): "\(path) is not safe to take a secret from: \(reason)"
      case .malformed(let path): "\(path) holds something else than secrets of 64 bytes in base64url"
      }
    }
  }

  private static let secretCount = 64
  private static let maximumByteCount = 1 << 16

  /// The secrets; if there is no file, one is made first. Of several processes that make one at the same time, all get the
  /// same.
  ///
  /// - Parameter random: the kernel's generator.
  /// - Throws: `Failure`.
  func secrets(random: (Int) -> [UInt8]) throws -> [[UInt8]] {
    if let content = try content() { return try secrets(in: content) }
    try create(Base64.url.encode(random(Self.secretCount)), suffix: Base64.url.encode(random(9)))
    return try secrets()
  }

  /// The secrets.
  ///
  /// - Throws: `Failure`, also if there is no file, or others can read it.
  func secrets() throws -> [[UInt8]] {
    guard let content = try content() else { throw failure("open", ENOENT) }
    return try secrets(in: content)
  }

  private func secrets(in content: [UInt8]) throws -> [[UInt8]] {
    let lines = content.split { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }
      .filter { $0.first != UInt8(ascii: "#") }
    switch origin {
    case .operation: return lines.map(Array.init)
    case .plugin:
      guard !lines.isEmpty else { throw Failure.malformed(path: path) }
      return try lines.map { line in
        guard let secret = Base64.url.decode(line), secret.count == Self.secretCount else {
          throw Failure.malformed(path: path)
        }
        return secret
      }
    }
  }

  /// Writes the whole file under another name, and then links it to its own, which fails if another process was first:
  /// nobody ever sees half a secret, or replaces one that is in use.
  private func create(_ text: String, suffix: String) throws {
    let draft = "\(path).\(suffix)"
    let descriptor = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw failure("create", errno) }
    defer {
      close(descriptor)
      unlink(draft)
    }
    let line = Array((text + "\n").utf8)
    guard write(descriptor, line, line.count) == line.count, fsync(descriptor) == 0 else {
      throw failure("write", errno)
    }
    guard link(draft, path) == 0 || errno == EEXIST else { throw failure("link", errno) }
  }

  /// - Returns: nil if there is no file.
  private func content() throws -> [UInt8]? {
    // An operator's file may be a link, as Kubernetes mounts secrets. A pipe must not hold us up.
    let follows = origin == .operation ? 0 : O_NOFOLLOW
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | follows)
    guard descriptor >= 0 else {
      if errno == ENOENT { return nil }
      throw failure("open", errno)
    }
    defer { close(descriptor) }
    try checkSafety(of: descriptor)
    var content: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      guard count >= 0 else { throw failure("read", errno) }
      if count == 0 { return content }
      content += buffer[..<count]
      guard content.count <= Self.maximumByteCount else { throw failure("read", EFBIG) }
    }
  }

  private func checkSafety(of descriptor: Int32) throws {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw failure("examine", errno) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw Failure.unsafe(path: path, reason: "it is no regular file")
    }
    guard status.st_uid == geteuid() || status.st_uid == 0 else {
      throw Failure.unsafe(path: path, reason: "it is owned by another user")
    }
    guard status.st_mode & 0o077 == 0 else {
      throw Failure.unsafe(path: path, reason: "others have access to it (chmod 600 would take it from them)")
    }
  }

  private func failure(_ operation: String, _ code: Int32) -> Failure {
    .system(path: path, operation: operation, code: code)
  }
}
