import JSONBodies

/// A user as the API shows it.
struct UserView: Encodable {
  let id: String
  let email: String
  @ExplicitNull var displayName: String?
  @ExplicitNull var avatarURL: String?
  let role: String
  let createdAt: String
  let updatedAt: String

  init(_ user: User, role: String) {
    id = user.id
    email = user.email
    displayName = user.displayName
    avatarURL = user.avatarURL
    self.role = role
    createdAt = Timestamp.rfc3339(milliseconds: user.createdAt)
    updatedAt = Timestamp.rfc3339(milliseconds: user.updatedAt)
  }

  private enum CodingKeys: String, CodingKey {
    case id, email, role
    case displayName = "display_name"
    case avatarURL = "avatar_url"
    case createdAt = "created_at"
    case updatedAt = "updated_at"
  }
}

/// What a client is granted: RFC 6749 section 5.1, and the user.
struct TokenView: Encodable {
  let accessToken: String
  let tokenType = "bearer"
  /// In seconds.
  let expiresIn: Int64
  let refreshToken: String
  let user: UserView

  private enum CodingKeys: String, CodingKey {
    case accessToken = "access_token"
    case tokenType = "token_type"
    case expiresIn = "expires_in"
    case refreshToken = "refresh_token"
    case user
  }
}
