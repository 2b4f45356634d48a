import JSONBodies

/// `/auth`, which AuthPlugin serves, for the API's description: one document for the whole shop. None takes an
/// `Idempotency-Key`.
enum AuthOperations {
  static let all: [APIOperation] = [
    .ping("auth"),
    APIOperation(
      method: "POST", path: "auth/register", id: "register", summary: "Makes an account, and logs it in.",
      access: .anybody, body: .named("Registration"),
      answers: [.json(201, .named("Token"), "The account is there.")], refusals: [409: ["email-taken"]]),
    APIOperation(
      method: "POST", path: "auth/login", id: "login", summary: "Trades e-mail and password for tokens.",
      access: .anybody, body: .named("Credentials"), answers: [.json(200, .named("Token"), "Logged in.")],
      refusals: [401: ["invalid-credentials"], 429: ["too-many-logins", "rate-limited"]]),
    APIOperation(
      method: "POST", path: "auth/refresh", id: "refresh",
      summary:
        "Trades a refresh token, which is spent then, for new tokens. To use a spent one ends the session. "
        + "No Idempotency-Key is taken here, or by any POST of auth.",
      access: .anybody, body: .object(["refresh_token": .string(length: 1...512)]),
      answers: [.json(200, .named("Token"), "New tokens.")], refusals: [401: ["invalid-refresh-token"]]),
    APIOperation(
      method: "POST", path: "auth/logout", id: "logout",
      summary: "Ends the session: its refresh tokens and this access token are refused from now on.",
      answers: [.empty(204, "Logged out.")]),
    APIOperation(
      method: "GET", path: "auth/me", id: "getUser", summary: "The user whose token it is.",
      answers: [.json(200, .named("User"), "The user.")]),
    APIOperation(
      method: "PUT", path: "auth/profile", id: "putProfile",
      summary: "Changes the fields that are there; null clears.",
      body: .object(
        ["display_name": displayName.orNull, "avatar_url": avatar.orNull],
        optional: ["display_name", "avatar_url"]),
      answers: [.json(200, .named("User"), "The user as it is now.")]),
  ]

  private static let displayName = JSONSchema.string(length: 0...100)
  private static let avatar = JSONSchema.string(length: 1...2048, format: "uri")
  private static let email = JSONSchema.string(length: 3...254, format: "email")

  static let schemas: [String: JSONSchema] = [
    "User": .object([
      "id": .uuid, "email": email, "display_name": displayName.orNull, "avatar_url": avatar.orNull,
      "role": .string(), "created_at": .timestamp, "updated_at": .timestamp,
    ]),
    "Token": .object([
      "access_token": .string(pattern: #"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$"#),
      "token_type": .string(of: ["bearer"]), "expires_in": JSONSchema.count.described("In seconds."),
      "refresh_token": .string(length: 1...512), "user": .named("User"),
    ]),
    "Registration": .object(
      [
        "email": .string(length: 3...320)
          .described("An e-mail address; spaces around it and upper case do not count."),
        "password": .string(length: 12...128).described("Not the e-mail address."),
        "display_name": displayName.orNull,
      ], optional: ["display_name"]),
    "Credentials": .object([
      "email": .string(length: 1...320), "password": .string(length: 1...1024),
    ]),
  ]
}
