import PluginAPI

/// The keys that the settings name.
enum SigningKeys {
  /// - Throws: `SettingsError` if a secret is too short or a key is no good; `SecretFile.Failure`; `CryptoError`.
  static func ring(_ settings: AuthSettings, _ start: Start<AuthSettings>) throws -> KeyRing {
    var sources: [any KeySource] = []
    if (settings.secret ?? "").isEmpty {
      sources.append(SecretSource(file: try secretFile(settings, start), algorithm: settings.algorithm))
    }
    if let path = settings.jwksFile { sources.append(JSONWebKeySource(file: KeyFile(path: path))) }
    do {
      return try KeyRing(sources: sources, fixed: try given(settings), host: start.host)
    } catch let error as KeyFile.Failure {
      throw SettingsError(
        key: error.path == settings.jwksFile ? "jwks-file" : "secret-file", reason: error.description)
    } catch let error as SecretFile.Failure where settings.hasSecretFile {
      throw SettingsError(key: "secret-file", reason: error.description)
    }
  }

  /// The keys that the settings themselves give, those of `jwks-file` and `secret-file` aside, which may change.
  ///
  /// - Throws: `SettingsError`, `CryptoError`.
  static func given(_ settings: AuthSettings) throws -> [any VerificationKey] {
    var keys: [any VerificationKey] = []
    if let secret = settings.secret, !secret.isEmpty {
      keys.append(try key(Array(secret.utf8), settings.algorithm, "secret"))
    }
    keys += try settings.previousSecret.map {
      try key(Array($0.utf8), settings.algorithm, "previous-secret")
    }
    return keys + (try settings.publicKey.map(publicKey))
  }

  /// The file of secrets that is set, or else the one that is made.
  private static func secretFile(
    _ settings: AuthSettings, _ start: Start<AuthSettings>
  ) throws -> SecretFile {
    if let path = settings.secretFile, !path.isEmpty { return SecretFile(path: path, origin: .operation) }
    let file = SecretFile(path: start.stateDirectory + "/signing-secret", origin: .plugin)
    _ = try file.secrets(random: start.host.random)
    start.host.log(.info, "no secret is set: signing with the one in \(file.path)")
    if settings.database != "sqlite" {
      start.host.log(
        .warning, "another host on this database refuses these tokens, unless both are given the same secret")
    }
    return file
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
