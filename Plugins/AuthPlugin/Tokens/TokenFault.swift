/// Why an access token is refused.
enum TokenFault: Error, Equatable {
  /// There is more than one `Authorization` field: whoever reads another one of them sees another user.
  case repeated
  /// Longer than any of ours.
  case oversized
  /// Not three parts of strict base64url, or not JSON of the right shape.
  case malformed
  /// `alg` is that of none of our keys; `none` too.
  case unsupportedAlgorithm
  /// `typ` says that it is another kind of JWT (RFC 8725 section 3.11).
  case wrongType
  /// It has `crit`, and we understand no extension (RFC 7515 section 4.1.11).
  case criticalExtension
  case wrongSignature
  case expired
  case notYetValid
  case wrongIssuer
  case wrongAudience
  case revoked

  /// Whether it may be good for a key that we have not seen yet.
  var mayBeOfNewKey: Bool { self == .wrongSignature || self == .unsupportedAlgorithm }

  /// For `error_description` (RFC 6750 section 3): what a client can act on. What is wrong with a token that we have not
  /// signed is nobody's business.
  var advice: String {
    switch self {
    case .repeated: "There is more than one Authorization field"
    case .expired: "The access token has expired"
    case .notYetValid: "The access token is not valid yet"
    case .wrongIssuer, .wrongAudience: "The access token is not for this service"
    case .revoked: "The access token has been revoked"
    case .oversized, .malformed, .unsupportedAlgorithm, .wrongType, .criticalExtension, .wrongSignature:
      "The access token is malformed, or its signature is wrong"
    }
  }
}
