import PluginAPI

/// The keys that the settings name.
struct SigningKeys {
  /// What our own tokens are signed with.
  let signing: HMACKey
  /// What tokens are verified with, ours and others'.
  let ring: KeyRing

  /// - Throws: `SettingsError` if a secret is too short or a key is no good; `SecretFile.Failure`; `CryptoError`.
  init(_ settings: AuthSettings, _ start: Start<AuthSettings>) throws {
    let given = settings.secret ?? ""
    let secret: [UInt8]
    if given.isEmpty {
      let file = SecretFile(path: start.stateDirectory + "/signing-secret")
      secret = try file.secret(random: start.host.random)
      start.host.log(.info, "no secret is set: signing with the one in \(file.path)")
      if settings.database != "sqlite" {
        start.host.log(
          .warning,
          "another host on this database refuses these tokens, unless both are given the same secret")
      }
    } else {
      secret = Array(given.utf8)
    }
    signing = try Self.key(secret, settings.algorithm, "secret")
    let previous = try settings.previousSecret.map {
      try Self.key(Array($0.utf8), settings.algorithm, "previous-secret")
    }
    let others = try settings.publicKey.map(Self.publicKey)
    do {
      ring = try KeyRing(
        fixed: [signing] + previous + others, file: settings.jwksFile.map { KeyFile(path: $0) },
        host: start.host)
    } catch let error as KeyFile.Failure {
      throw SettingsError(key: "jwks-file", reason: error.description)
    }
  }

  private static func key(
    _ secret: [UInt8], _ algorithm: SignatureAlgorithm, _ setting: String
  ) throws -> HMACKey {
    guard let digest = algorithm.hmacDigest else {
      throw SettingsError(key: "algorithm", reason: "\(algorithm.rawValue) does not sign with a secret")
    }
    guard secret.count >= digest.byteCount else {
      throw SettingsError(
        key: setting,
        reason: "has \(secret.count) bytes, and \(algorithm.rawValue) needs \(digest.byteCount)")
    }
    return try HMACKey(secret: secret, algorithm: algorithm)
  }

  /// - Parameter setting: `RS256 /etc/bulkhead/issuer.pem`
  private static func publicKey(_ setting: String) throws -> PublicKey {
    let parts = setting.split(separator: " ", maxSplits: 1).map { String($0) }
    guard parts.count == 2, let algorithm = SignatureAlgorithm(rawValue: parts[0]),
      SignatureAlgorithm.asymmetric.contains(algorithm)
    else {
      throw SettingsError(
        key: "public-key", reason: "'\(setting)' is not RS256, PS256, ES256 or EdDSA and a path")
    }
    do {
      return try KeyFile(path: parts[1]).publicKey(for: algorithm)
    } catch let error as KeyFile.Failure {
      throw SettingsError(key: "public-key", reason: error.description)
    }
  }
}
