/// The claims of an access token (RFC 7519 section 4.1). Times are Unix times in seconds.
struct TokenClaims: Codable, Sendable, Equatable {
  var subject: String
  var email: String?
  var role: String?
  var issuer: String?
  /// In the token a text, or an array of them.
  var audience: [String]
  var issuedAt: Int64?
  var notBefore: Int64?
  var expiresAt: Int64
  var id: String?
  /// In the token one text with spaces between (RFC 8693 section 4.2).
  var scopes: [String]

  private enum CodingKeys: String, CodingKey {
    case subject = "sub"
    case issuer = "iss"
    case audience = "aud"
    case issuedAt = "iat"
    case notBefore = "nbf"
    case expiresAt = "exp"
    case id = "jti"
    case email, role
    case scopes = "scope"
  }
}

extension TokenClaims {
  /// - Throws: `DecodingError` if a claim is missing or of the wrong type, a time is out of range, or a subject or an id
  ///   cannot be kept.
  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    subject = try container.decode(String.self, forKey: .subject)
    email = try container.decodeIfPresent(String.self, forKey: .email)
    role = try container.decodeIfPresent(String.self, forKey: .role)
    issuer = try container.decodeIfPresent(String.self, forKey: .issuer)
    id = try container.decodeIfPresent(String.self, forKey: .id)
    scopes =
      try container.decodeIfPresent(String.self, forKey: .scopes)?.split(separator: " ").map(String.init)
      ?? []
    audience = try Self.audience(in: container)
    expiresAt = try Self.time(container.decode(Double.self, forKey: .expiresAt), .expiresAt)
    issuedAt = try container.decodeIfPresent(Double.self, forKey: .issuedAt).map {
      try Self.time($0, .issuedAt)
    }
    notBefore = try container.decodeIfPresent(Double.self, forKey: .notBefore).map {
      try Self.time($0, .notBefore)
    }
    guard Self.isKeepable(subject) else { throw Self.corrupt(.subject) }
    guard id.map(Self.isKeepable) ?? true else { throw Self.corrupt(.id) }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(subject, forKey: .subject)
    try container.encodeIfPresent(email, forKey: .email)
    try container.encodeIfPresent(role, forKey: .role)
    try container.encodeIfPresent(issuer, forKey: .issuer)
    if audience.count == 1 {
      try container.encode(audience[0], forKey: .audience)
    } else if !audience.isEmpty {
      try container.encode(audience, forKey: .audience)
    }
    try container.encodeIfPresent(issuedAt, forKey: .issuedAt)
    try container.encodeIfPresent(notBefore, forKey: .notBefore)
    try container.encode(expiresAt, forKey: .expiresAt)
    try container.encodeIfPresent(id, forKey: .id)
    if !scopes.isEmpty { try container.encode(scopes.joined(separator: " "), forKey: .scopes) }
  }

  private static func audience(in container: KeyedDecodingContainer<CodingKeys>) throws -> [String] {
    guard container.contains(.audience) else { return [] }
    do {
      return [try container.decode(String.self, forKey: .audience)]
    } catch DecodingError.typeMismatch {
      return try container.decode([String].self, forKey: .audience)
    }
  }

  /// A NumericDate (RFC 7519 section 2) may have a fraction: cut. Bounded, so that leeway can be added to it.
  private static func time(_ seconds: Double, _ key: CodingKeys) throws -> Int64 {
    guard seconds >= 0, seconds < 1e12 else { throw corrupt(key) }
    return Int64(seconds)
  }

  /// How long a subject and an id may be, in bytes.
  static let maximumByteCount = 255

  /// Whether every database can keep a text as a key: PostgreSQL has none with a NUL in it, and an index none of thousands of
  /// bytes.
  private static func isKeepable(_ text: String) -> Bool {
    1...maximumByteCount ~= text.utf8.count && !text.utf8.contains(0)
  }

  private static func corrupt(_ key: CodingKeys) -> DecodingError {
    DecodingError.dataCorrupted(.init(codingPath: [key], debugDescription: "out of range"))
  }
}
