import CCrypto

/// A password's scrypt hash (RFC 7914) with the parameters that it was made with, in the PHC string format:
/// `$scrypt$ln=15,r=8,p=1$SALT$HASH`.
struct PasswordHash: Sendable, Equatable {
  /// What a hash costs: 128 · r · 2^ln bytes of memory, and time in proportion.
  struct Parameters: Sendable, Equatable {
    /// log2 of the cost N.
    var logCost: Int
    var blockSize = 8
    var parallelism = 1

    /// Bounds of what is computed at all: 2 MiB to 1 GiB at r = 8.
    static let logCosts = 11...20
  }

  enum Failure: Error, CustomStringConvertible {
    /// What is stored is no hash of ours.
    case malformed

    var description: String { "a stored password hash is malformed" }
  }

  let parameters: Parameters
  let salt: [UInt8]
  let hash: [UInt8]

  /// How many characters of the PHC string say what the hash costs: `$scrypt$ln=15,r=8,p=1$`, as we make them.
  static let prefixCount = 22
  private static let saltCount = 16
  private static let hashCount = 32

  /// Hashes a password: takes its time, and memory, on purpose. [blocking]
  ///
  /// - Parameter salt: random, 16 bytes.
  /// - Throws: `CryptoError`, if memory is short say.
  init(of password: String, salt: [UInt8], parameters: Parameters) throws {
    self.parameters = parameters
    self.salt = salt
    hash = try Scrypt.derive(password, salt: salt, parameters: parameters, count: Self.hashCount)
  }

  /// A hash that no password has, but that takes as long to check: for users that do not exist.
  init(unmatchedWith random: (Int) -> [UInt8], parameters: Parameters) {
    self.parameters = parameters
    salt = random(Self.saltCount)
    hash = random(Self.hashCount)
  }

  /// Parses the PHC string.
  ///
  /// - Throws: `Failure.malformed`.
  init(_ text: String) throws {
    let parts = text.utf8.split(separator: UInt8(ascii: "$"), omittingEmptySubsequences: false)
    guard parts.count == 5, parts[0].isEmpty, parts[1].elementsEqual("scrypt".utf8),
      let salt = Base64.standard.decode(parts[3]), let hash = Base64.standard.decode(parts[4]),
      let parameters = Parameters(Substring(parts[2])), !hash.isEmpty
    else { throw Failure.malformed }
    self.parameters = parameters
    self.salt = salt
    self.hash = hash
  }

  /// The PHC string.
  var text: String {
    "$scrypt$\(parameters.text)$\(Base64.standard.encode(salt))$\(Base64.standard.encode(hash))"
  }

  /// Whether this is the password's hash; in a time that does not depend on the password. [blocking]
  ///
  /// - Throws: `CryptoError`.
  func matches(_ password: String) throws -> Bool {
    let candidate = try Scrypt.derive(password, salt: salt, parameters: parameters, count: hash.count)
    return CRYPTO_memcmp(candidate, hash, hash.count) == 0
  }
}

extension PasswordHash.Parameters {
  fileprivate var text: String { "ln=\(logCost),r=\(blockSize),p=\(parallelism)" }

  /// What the beginning of a PHC string says; nil if it is none of ours.
  init?(prefix: String) {
    let parts = prefix.split(separator: "$")
    guard parts.count == 2, parts[0] == "scrypt" else { return nil }
    self.init(parts[1])
  }

  fileprivate init?(_ text: Substring) {
    let values = text.split(separator: ",").map { $0.split(separator: "=") }
    guard values.count == 3, values.allSatisfy({ $0.count == 2 }), values.map({ $0[0] }) == ["ln", "r", "p"],
      let logCost = Int(values[0][1]), Self.logCosts.contains(logCost),
      let blockSize = Int(values[1][1]), (1...32).contains(blockSize),
      let parallelism = Int(values[2][1]), (1...16).contains(parallelism)
    else { return nil }
    self.init(logCost: logCost, blockSize: blockSize, parallelism: parallelism)
  }
}

/// The key derivation function of RFC 7914, by libcrypto.
enum Scrypt {
  /// - Throws: `CryptoError`.
  static func derive(
    _ password: String, salt: [UInt8], parameters: PasswordHash.Parameters, count: Int
  ) throws -> [UInt8] {
    let cost = UInt64(1) << UInt64(parameters.logCost)
    let block = UInt64(parameters.blockSize)
    let parallelism = UInt64(parameters.parallelism)
    // What the algorithm needs (RFC 7914 section 2), and a little: libcrypto refuses to take more than it is allowed.
    let memory = 128 * block * (cost + parallelism + 2) + 4096
    let secret = Array(password.utf8CString)
    var key = [UInt8](repeating: 0, count: count)
    guard
      EVP_PBE_scrypt(
        secret, secret.count - 1, salt, salt.count, cost, block, parallelism, memory, &key, count)
        == 1
    else { throw CryptoError("scrypt") }
    return key
  }
}
