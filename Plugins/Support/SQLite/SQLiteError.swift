import CSQLite
import Glibc
import SQL

extension DatabaseError {
  /// What SQLite says of a result code. https://sqlite.org/rescode.html
  init(_ code: Int32, on handle: OpaquePointer?, context: String) {
    let reported = handle.map(sqlite3_extended_errcode) ?? code
    let extended = reported == SQLITE_OK ? code : reported
    let message =
      handle.flatMap(sqlite3_errmsg).map { String(cString: $0) }
      ?? sqlite3_errstr(code).map { String(cString: $0) } ?? "unknown error"
    var kind = Kind(extendedCode: extended)
    // Of the files that cannot be opened: the folder may be made yet, and descriptors become free; nobody is let in by
    // waiting.
    if extended & 0xff == SQLITE_CANTOPEN, let reason = handle.map(sqlite3_system_errno),
      [EACCES, EPERM, EISDIR, ENOTDIR, ELOOP, ENAMETOOLONG].contains(reason)
    {
      kind = .unusable
    }
    self.init(kind, code: "\(extended)", message: message, context: context)
  }
}

extension DatabaseError.Kind {
  fileprivate init(extendedCode: Int32) {
    // The extended codes are expressions that the importer leaves out: SQLITE_CONSTRAINT_CHECK is 1, … of these.
    switch (extendedCode & 0xff, extendedCode >> 8) {
    case (SQLITE_BUSY, _), (SQLITE_LOCKED, _): self = .busy
    case (SQLITE_CONSTRAINT, 1): self = .checkViolation
    case (SQLITE_CONSTRAINT, 3): self = .foreignKeyViolation
    case (SQLITE_CONSTRAINT, 5): self = .notNullViolation
    case (SQLITE_CONSTRAINT, 6), (SQLITE_CONSTRAINT, 8), (SQLITE_CONSTRAINT, 10): self = .uniqueViolation
    case (SQLITE_CONSTRAINT, 7): self = .refusedByTrigger
    case (SQLITE_CONSTRAINT, 12), (SQLITE_MISMATCH, _), (SQLITE_TOOBIG, _): self = .invalidValue
    // The machine's, which passes: no disk space, a broken or read-only disk, no folder yet, no descriptor, no memory.
    case (SQLITE_FULL, _), (SQLITE_IOERR, _), (SQLITE_READONLY, _), (SQLITE_CANTOPEN, _), (SQLITE_NOMEM, _):
      self = .unavailable
    case (SQLITE_PERM, _): self = .unusable
    case (SQLITE_ERROR, _), (SQLITE_MISUSE, _), (SQLITE_RANGE, _): self = .misuse
    default: self = .other
    }
  }
}
