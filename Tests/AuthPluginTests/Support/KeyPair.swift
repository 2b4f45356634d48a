import CCrypto
import Foundation

/// A key pair of another issuer, and tokens signed with it: by libcrypto, without the plugin's own code.
final class KeyPair {
  enum Kind: String, CaseIterable {
    case rs256 = "RS256"
    case ps256 = "PS256"
    case es256 = "ES256"
    case edDSA = "EdDSA"
  }

  struct Failure: Error {}

  let kind: Kind
  private let key: OpaquePointer

  init(_ kind: Kind, bits: Int32 = 2048, group: String = "prime256v1") throws {
    let name =
      switch kind {
      case .rs256, .ps256: "RSA"
      case .es256: "EC"
      case .edDSA: "ED25519"
      }
    guard let context = EVP_PKEY_CTX_new_from_name(nil, name, nil) else { throw Failure() }
    defer { EVP_PKEY_CTX_free(context) }
    guard EVP_PKEY_keygen_init(context) == 1 else { throw Failure() }
    if name == "RSA" { EVP_PKEY_CTX_set_rsa_keygen_bits(context, bits) }
    if name == "EC" { EVP_PKEY_CTX_set_group_name(context, group) }
    var key: OpaquePointer?
    guard EVP_PKEY_generate(context, &key) == 1, let key else { throw Failure() }
    self.kind = kind
    self.key = key
  }

  deinit { EVP_PKEY_free(key) }

  var pem: Data {
    let buffer = BIO_new(BIO_s_mem())
    defer { BIO_free(buffer) }
    PEM_write_bio_PUBKEY(buffer, key)
    var bytes = [UInt8](repeating: 0, count: 8192)
    let count = BIO_read(buffer, &bytes, Int32(bytes.count))
    return Data(bytes.prefix(Int(max(0, count))))
  }

  /// The public key as a JSON Web Key.
  func jwk(id: String, _ changes: [String: Any?] = [:]) -> [String: Any] {
    var jwk: [String: Any] = ["kid": id, "use": "sig", "alg": kind.rawValue]
    switch kind {
    case .rs256, .ps256:
      jwk["kty"] = "RSA"
      jwk["n"] = TokenForge.encode(number("n"))
      jwk["e"] = TokenForge.encode(number("e"))
    case .es256:
      jwk["kty"] = "EC"
      jwk["crv"] = "P-256"
      jwk["x"] = TokenForge.encode(number("qx", padded: 32))
      jwk["y"] = TokenForge.encode(number("qy", padded: 32))
    case .edDSA:
      var raw = [UInt8](repeating: 0, count: 32)
      var count = raw.count
      EVP_PKEY_get_raw_public_key(key, &raw, &count)
      jwk["kty"] = "OKP"
      jwk["crv"] = "Ed25519"
      jwk["x"] = TokenForge.encode(Data(raw))
    }
    for (name, value) in changes { jwk[name] = value }
    return jwk
  }

  func token(_ claims: [String: Any] = TokenForge.claims(), header: [String: Any] = [:]) throws -> String {
    let header = ["alg": kind.rawValue, "typ": "JWT"].merging(header) { $1 }
    let signed =
      TokenForge.encode(try JSONSerialization.data(withJSONObject: header)) + "."
      + TokenForge.encode(try JSONSerialization.data(withJSONObject: claims))
    return signed + "." + TokenForge.encode(Data(try sign(signed)))
  }

  func sign(_ text: String, saltLength: Int32 = RSA_PSS_SALTLEN_DIGEST) throws -> [UInt8] {
    let context = EVP_MD_CTX_new()
    defer { EVP_MD_CTX_free(context) }
    var keyContext: OpaquePointer?
    let digest = kind == .edDSA ? nil : EVP_sha256()
    guard EVP_DigestSignInit(context, &keyContext, digest, nil, key) == 1 else { throw Failure() }
    if kind == .ps256 {
      EVP_PKEY_CTX_set_rsa_padding(keyContext, RSA_PKCS1_PSS_PADDING)
      EVP_PKEY_CTX_set_rsa_pss_saltlen(keyContext, saltLength)
    }
    let message = Array(text.utf8)
    var signature = [UInt8](repeating: 0, count: 2048)
    var count = signature.count
    guard EVP_DigestSign(context, &signature, &count, message, message.count) == 1 else { throw Failure() }
    signature = Array(signature.prefix(count))
    return kind == .es256 ? try pair(of: signature) : signature
  }

  /// The numbers of an ECDSA signature in DER, one after the other.
  private func pair(of der: [UInt8]) throws -> [UInt8] {
    let signature = der.withUnsafeBufferPointer { buffer in
      var start = buffer.baseAddress
      return d2i_ECDSA_SIG(nil, &start, buffer.count)
    }
    guard let signature else { throw Failure() }
    defer { ECDSA_SIG_free(signature) }
    var pair = [UInt8](repeating: 0, count: 64)
    pair.withUnsafeMutableBufferPointer { buffer in
      BN_bn2binpad(ECDSA_SIG_get0_r(signature), buffer.baseAddress, 32)
      BN_bn2binpad(ECDSA_SIG_get0_s(signature), buffer.baseAddress.map { $0 + 32 }, 32)
    }
    return pair
  }

  private func number(_ name: String, padded width: Int? = nil) -> Data {
    var number: OpaquePointer?
    EVP_PKEY_get_bn_param(key, name, &number)
    defer { BN_free(number) }
    let count = width ?? Int(BN_num_bits(number) + 7) / 8
    var bytes = [UInt8](repeating: 0, count: count)
    BN_bn2binpad(number, &bytes, Int32(count))
    return Data(bytes)
  }
}

extension KeyPair {
  /// A JWK set as a file's content.
  static func set(_ keys: [[String: Any]]) throws -> Data {
    try JSONSerialization.data(withJSONObject: ["keys": keys])
  }
}
