import CCrypto

/// Makes libcrypto's keys from the numbers that a JSON Web Key has (RFC 7518 section 6, RFC 8037).
enum PublicKeyNumbers {
  /// - Parameters: big-endian.
  /// - Throws: `PublicKey.Failure`.
  static func rsa(modulus: [UInt8], exponent: [UInt8]) throws -> OpaquePointer {
    let (n, e) = (
      BN_bin2bn(modulus, Int32(modulus.count), nil), BN_bin2bn(exponent, Int32(exponent.count), nil)
    )
    defer {
      BN_free(n)
      BN_free(e)
    }
    return try key("RSA") { builder in
      Name.modulus.withCString { OSSL_PARAM_BLD_push_BN(builder, $0, n) == 1 }
        && Name.exponent.withCString { OSSL_PARAM_BLD_push_BN(builder, $0, e) == 1 }
    }
  }

  /// A point on P-256.
  ///
  /// - Parameters: 32 bytes each, big-endian.
  /// - Throws: `PublicKey.Failure`.
  static func p256(x: [UInt8], y: [UInt8]) throws -> OpaquePointer {
    guard x.count == 32, y.count == 32 else { throw PublicKey.Failure.invalid }
    // SEC 1 section 2.3.3: uncompressed.
    let point: [UInt8] = [4] + x + y
    return try point.withUnsafeBufferPointer { point in
      try key("EC") { builder in
        Name.group.withCString { name in
          Name.p256.withCString { OSSL_PARAM_BLD_push_utf8_string(builder, name, $0, 0) == 1 }
        }
          && Name.point.withCString {
            OSSL_PARAM_BLD_push_octet_string(builder, $0, point.baseAddress, point.count) == 1
          }
      }
    }
  }

  /// - Parameter x: 32 bytes.
  /// - Throws: `PublicKey.Failure`.
  static func ed25519(x: [UInt8]) throws -> OpaquePointer {
    guard x.count == 32, let key = EVP_PKEY_new_raw_public_key_ex(nil, "ED25519", nil, x, x.count) else {
      ERR_clear_error()
      throw PublicKey.Failure.invalid
    }
    return key
  }

  private enum Name {
    static let modulus: StaticString = "n"
    static let exponent: StaticString = "e"
    static let group: StaticString = "group"
    static let p256: StaticString = "prime256v1"
    static let point: StaticString = "pub"
  }

  /// - Parameter fill: what it points the builder at lives until this returns.
  private static func key(_ type: String, _ fill: (OpaquePointer) -> Bool) throws -> OpaquePointer {
    guard let builder = OSSL_PARAM_BLD_new() else { throw CryptoError("a parameter builder") }
    defer { OSSL_PARAM_BLD_free(builder) }
    guard fill(builder), let parameters = OSSL_PARAM_BLD_to_param(builder) else {
      throw CryptoError("parameters")
    }
    defer { OSSL_PARAM_free(parameters) }
    guard let context = EVP_PKEY_CTX_new_from_name(nil, type, nil) else { throw CryptoError(type) }
    defer { EVP_PKEY_CTX_free(context) }
    var key: OpaquePointer?
    guard EVP_PKEY_fromdata_init(context) == 1,
      EVP_PKEY_fromdata(context, &key, CCRYPTO_PUBLIC_KEY, parameters) == 1, let key
    else {
      ERR_clear_error()
      throw PublicKey.Failure.invalid
    }
    return key
  }
}
