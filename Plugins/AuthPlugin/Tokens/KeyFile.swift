import Glibc
import JSONBodies

/// A file of public keys.
struct KeyFile: Sendable {
  let path: String

  /// What tells one content from another without reading it.
  struct Stamp: Equatable, Sendable {
    let device: UInt
    let inode: UInt
    let size: Int
    let modified: Time
    /// Its owner, mode or name too: what was refused for one of these is looked at again.
    let changed: Time

    struct Time: Equatable, Sendable {
      let seconds: Int
      let nanoseconds: Int
      init(_ time: timespec) { (seconds, nanoseconds) = (time.tv_sec, time.tv_nsec) }
    }
  }

  struct Failure: Error, CustomStringConvertible {
    let path: String
    let reason: String
    var description: String { "\(path): \(reason)" }
  }

  private static let maximumByteCount = 1 << 20

  /// - Throws: `Failure`.
  func stamp() throws -> Stamp {
    var status = stat()
    guard stat(path, &status) == 0 else { throw failure(errno) }
    return Stamp(
      device: UInt(status.st_dev), inode: UInt(status.st_ino), size: Int(status.st_size),
      modified: Stamp.Time(status.st_mtim), changed: Stamp.Time(status.st_ctim))
  }

  /// The whole of it.
  ///
  /// - Throws: `Failure`, also past 1 MiB.
  func read() throws -> [UInt8] {
    // A pipe must not hold us up: it ends at once.
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure(errno) }
    defer { close(descriptor) }
    var content: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 14)
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      guard count >= 0 else { throw failure(errno) }
      if count == 0 { return content }
      content += buffer[..<count]
      guard content.count <= Self.maximumByteCount else {
        throw Failure(path: path, reason: "more than 1 MiB")
      }
    }
  }

  /// The one key in a PEM file.
  ///
  /// - Throws: `Failure`.
  func publicKey(for algorithm: SignatureAlgorithm) throws -> PublicKey {
    do {
      return try PublicKey(pem: read(), algorithm: algorithm)
    } catch let error as PublicKey.Failure {
      throw Failure(path: path, reason: error.description)
    }
  }

  /// The keys in a JWKS file that are for verifying signatures; at least one.
  ///
  /// - Throws: `Failure`.
  func keySet() throws -> [any VerificationKey] {
    do {
      let keys = try JSONText.decode(JSONWebKeySet.self, from: read()).verificationKeys()
      guard !keys.isEmpty else { throw Failure(path: path, reason: "holds no key for verifying signatures") }
      return keys
    } catch let error as DecodingError {
      throw Failure(path: path, reason: "is no JWK set (\(error.reason))")
    } catch let error as PublicKey.Failure {
      throw Failure(path: path, reason: "a key: \(error)")
    }
  }

  private func failure(_ code: Int32) -> Failure {
    Failure(path: path, reason: String(cString: strerror(code)))
  }
}

extension DecodingError {
  fileprivate var reason: String {
    switch self {
    case .dataCorrupted(let context), .keyNotFound(_, let context), .typeMismatch(_, let context),
      .valueNotFound(_, let context):
      context.debugDescription
    @unknown default: String(describing: self)
    }
  }
}
