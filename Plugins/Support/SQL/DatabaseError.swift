/// What a database refuses, in terms that do not depend on which database it is.
public struct DatabaseError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What the caller can do about it.
  public enum Kind: Sendable, Equatable {
    /// A lock, a turn or an answer did not come in time. Nothing was changed: the caller may try again.
    case busy
    /// A UNIQUE or PRIMARY KEY constraint: there is such a row already.
    case uniqueViolation
    /// A CHECK constraint.
    case checkViolation
    /// A foreign key constraint: the row that is referred to is not there, or is still referred to.
    case foreignKeyViolation
    /// A NOT NULL constraint.
    case notNullViolation
    /// A guard of the schema: a trigger that raised.
    case refusedByTrigger
    /// Transactions got in each other's way, and this one was rolled back as a whole. `ConnectionPool` tries again.
    case serializationFailure
    /// The connection ended while a statement was under way: nobody knows whether it, or the commit, took effect.
    case connectionLost
    /// No connection could be made, or the database cannot do its work: its server is away, starting or a standby; or it
    /// is out of memory, disk, descriptors or connections, or its disk is broken or read-only.
    case unavailable
    /// The database is there, and no retry will open it: a wrong password, no such database, no permission, a certificate
    /// that cannot be trusted, a file that is none. Somebody has to mend that, and then it works.
    case unusable
    /// The database was migrated by a newer program.
    case newerSchema
    /// A value that the column, or the database, cannot hold, or that is too long for an index.
    case invalidValue
    /// The program's own mistake: wrong SQL, or a wrong number of parameters.
    case misuse
    case other
  }

  public let kind: Kind
  /// The database's own: a SQLSTATE such as `23505`, or SQLite's extended result code such as `2067`. May be empty.
  public let code: String
  /// The database's words. Never holds bound values or a password.
  public let message: String
  /// The statement, or what was being done; may be empty.
  public let context: String

  public init(_ kind: Kind, code: String = "", message: String, context: String = "") {
    self.kind = kind
    self.code = code
    self.message = message
    self.context = context
  }

  /// A constraint or a guard refused the change.
  public var isConstraint: Bool {
    switch kind {
    case .uniqueViolation, .checkViolation, .foreignKeyViolation, .notNullViolation, .refusedByTrigger: true
    default: false
    }
  }
  /// There is such a row already.
  public var isUniqueViolation: Bool { kind == .uniqueViolation }
  /// A CHECK constraint refused the change.
  public var isCheckViolation: Bool { kind == .checkViolation }
  /// A lock or a turn did not come in time: the caller may try again.
  public var isBusy: Bool { kind == .busy }
  /// It is the database's, and not of what was asked: for a service, an answer 503 with `Retry-After`, and no fault of its
  /// own.
  public var isTemporary: Bool { isAway || kind == .unusable }
  /// It passes by itself: what needs the database may start, and look for it again and again.
  public var isAway: Bool {
    switch kind {
    case .busy, .serializationFailure, .connectionLost, .unavailable: true
    default: false
    }
  }
  /// The server has no room for another connection: SQLSTATE 53300, also by the limit of a role or a database.
  public var isOutOfConnections: Bool { code == "53300" }

  public var description: String {
    let coded = code.isEmpty ? message : "\(message) (\(code))"
    return context.isEmpty ? coded : "\(coded) in: \(context)"
  }
}
