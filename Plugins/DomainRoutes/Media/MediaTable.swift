import SQL

/// The images in the database, where every host that shares it finds them. Any thread.
///
/// On PostgreSQL: its rows are kept out of line and uncompressed, so that a piece is read without the rest.
struct MediaTable: MediaStore {
  let store: Store

  func write(_ bytes: [UInt8], to name: String) throws {
    _ = try store.write { session in
      try session.run(
        """
        INSERT INTO media (name, bytes, created_at) VALUES ($1, $2, $3)
        ON CONFLICT (name) DO UPDATE SET bytes = $2, created_at = $3
        """, [.text(name), .blob(bytes), .integer(session.now)])
    }
  }

  func open(_ name: String) throws -> any MediaReader {
    let size = try store.read {
      try $0.first("SELECT LENGTH(bytes) AS size FROM media WHERE name = $1", [.text(name)])?.integer("size")
    }
    guard let size else { throw MediaError(missing: name) }
    return MediaRow(store: store, name: name, size: Int(size))
  }

  func remove(_ name: String) throws {
    _ = try store.write { try $0.run("DELETE FROM media WHERE name = $1", [.text(name)]) }
  }

  func names(writtenBefore: Int64) throws -> [String] {
    try store.read { session in
      try session.query(
        """
        SELECT name FROM media WHERE created_at < $1
          AND NOT EXISTS (SELECT 1 FROM generations WHERE media_file = name)
        """, [.integer(writtenBefore)]
      ).map { try $0.text("name") }
    }
  }
}

/// One image in the database.
private struct MediaRow: MediaReader {
  let store: Store
  let name: String
  let size: Int

  func read(_ count: Int, at offset: Int) throws -> [UInt8] {
    let bytes = try store.read {
      try $0.first(
        "SELECT SUBSTR(bytes, CAST($2 AS INTEGER), CAST($3 AS INTEGER)) AS piece FROM media WHERE name = $1",
        [.text(name), SQLValue(offset + 1), SQLValue(count)])?.blob("piece")
    }
    guard let bytes else { throw MediaError(missing: name) }
    return bytes
  }
}
