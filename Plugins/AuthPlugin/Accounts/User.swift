import JSONBodies
import SQL

/// Somebody with an account. Times are Unix times in milliseconds.
struct User: Sendable, Equatable {
  let id: String
  /// Normalised; unique.
  let email: String
  /// A PHC string.
  var password: String
  var displayName: String?
  var avatarURL: String?
  /// As stored; the settings may give another (`AccountService.role(of:)`).
  let role: String
  let createdAt: Int64
  var updatedAt: Int64

  static let defaultRole = "viewer"
}

extension User {
  fileprivate init(_ row: Row) throws {
    id = try row.text("id")
    email = try row.text("email")
    password = try row.text("password")
    displayName = try row.optionalText("display_name")
    avatarURL = try row.optionalText("avatar_url")
    role = try row.text("role")
    createdAt = try row.integer("created_at")
    updatedAt = try row.integer("updated_at")
  }
}

extension AccountDatabase {
  /// - Throws: `DatabaseError`.
  func user(email: String) throws -> User? {
    try pool.withConnection {
      try $0.first("SELECT * FROM users WHERE email = ?", [.text(email)]).map(User.init)
    }
  }

  /// - Throws: `DatabaseError`.
  func user(id: String) throws -> User? {
    try pool.withConnection { try Self.user(id: id, $0) }
  }

  static func user(id: String, _ database: Connection) throws -> User? {
    try database.first("SELECT * FROM users WHERE id = ?", [.text(id)]).map(User.init)
  }

  /// Adds a user.
  ///
  /// - Returns: false if the e-mail is taken.
  /// - Throws: `DatabaseError`.
  static func add(_ user: User, _ database: Connection) throws -> Bool {
    try database.run(
      """
      INSERT INTO users (id, email, password, display_name, avatar_url, role, created_at, updated_at)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (email) DO NOTHING
      """,
      [
        .text(user.id), .text(user.email), .text(user.password), SQLValue(user.displayName),
        SQLValue(user.avatarURL), .text(user.role), .integer(user.createdAt), .integer(user.updatedAt),
      ]) == 1
  }

  /// Changes what a user shows of himself.
  ///
  /// - Parameter change: edits the user as he is now.
  /// - Returns: the user as he is then; nil if there is none.
  /// - Throws: `DatabaseError`.
  func updateProfile(of id: String, now: Int64, _ change: (inout User) -> Void) throws -> User? {
    try pool.transaction { database in
      let row = try database.first("SELECT * FROM users WHERE id = ? FOR UPDATE", [.text(id)])
      guard var user = try row.map(User.init) else { return nil }
      let before = user
      change(&user)
      guard user != before else { return user }
      user.updatedAt = now
      try database.run(
        "UPDATE users SET display_name = ?, avatar_url = ?, updated_at = ? WHERE id = ?",
        [SQLValue(user.displayName), SQLValue(user.avatarURL), .integer(now), .text(id)])
      return user
    }
  }

  /// What the password hashes cost that are stored: a look at every user.
  ///
  /// - Throws: `DatabaseError`.
  func passwordCosts() throws -> [PasswordHash.Parameters] {
    let rows = try pool.withConnection {
      try $0.query(
        "SELECT DISTINCT substr(password, 1, \(PasswordHash.prefixCount)) AS prefix FROM users")
    }
    return try rows.compactMap { PasswordHash.Parameters(prefix: try $0.text("prefix")) }
  }

  /// Replaces a password's hash by a better one of the same password, unless it has been changed meanwhile.
  static func replacePassword(of user: User, with hash: PasswordHash, _ database: Connection) throws {
    try database.run(
      "UPDATE users SET password = ? WHERE id = ? AND password = ?",
      [.text(hash.text), .text(user.id), .text(user.password)])
  }
}
