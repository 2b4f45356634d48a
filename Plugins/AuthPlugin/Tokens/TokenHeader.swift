/// The header of a JWT (RFC 7515 section 4). Keys and addresses of keys in it (`jwk`, `jku`, `x5c`, `x5u`) are ignored:
/// whoever makes a token does not choose the key.
struct TokenHeader: Decodable {
  let algorithm: String
  /// Whether this may be an access token: `typ` is `JWT` or `at+jwt` (RFC 9068 section 2.1), or missing.
  let isAccessToken: Bool
  let keyID: String?
  let hasCriticalExtensions: Bool
  /// It says that its payload is encrypted or compressed (RFC 7516), or not in base64url (RFC 7797, which forbids that in a
  /// JWT): we would read something else than its maker wrote.
  let isOtherwiseEncoded: Bool

  private enum CodingKeys: String, CodingKey {
    case algorithm = "alg"
    case type = "typ"
    case keyID = "kid"
    case critical = "crit"
    case encryption = "enc"
    case compression = "zip"
    case encodesPayload = "b64"
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    algorithm = try container.decode(String.self, forKey: .algorithm)
    let type = try container.decodeIfPresent(String.self, forKey: .type)?.lowercased()
    isAccessToken = type.map { ["jwt", "at+jwt", "application/at+jwt"].contains($0) } ?? true
    keyID = try container.decodeIfPresent(String.self, forKey: .keyID)
    hasCriticalExtensions = container.contains(.critical)
    isOtherwiseEncoded =
      container.contains(.encryption) || container.contains(.compression)
      || container.contains(.encodesPayload)
  }
}
