/// Where the images are: in files of one machine, or in the database that several share. Any thread.
protocol MediaStore: Sendable {
  /// Keeps an image, whole or not at all; when this returns it survives a loss of power.
  /// - Parameter name: As `MediaFiles.name(generation:attempt:extension:)` made it.
  /// - Throws: `MediaError`, `DatabaseError`.
  func write(_ bytes: [UInt8], to name: String) throws

  /// Opens an image to be read.
  /// - Throws: `MediaError`, also if there is none of that name; `DatabaseError`.
  func open(_ name: String) throws -> any MediaReader

  /// Removes an image, if it is there.
  /// - Throws: `MediaError`, `DatabaseError`.
  func remove(_ name: String) throws

  /// The images that were written before then, in milliseconds since 1970. May leave out such as a generation has.
  /// - Throws: `MediaError`, `DatabaseError`.
  func names(writtenBefore: Int64) throws -> [String]
}

extension MediaStore {
  /// Removes the images that nobody needs: those that are older than an hour, so that no run is still at them.
  /// - Parameters:
  ///   - now: In milliseconds since 1970.
  ///   - isNeeded: Told an image's name.
  /// - Returns: How many were removed.
  /// - Throws: `MediaError`, `DatabaseError`, and what `isNeeded` throws.
  func sweep(now: Int64, isNeeded: (String) throws -> Bool) throws -> Int {
    var removed = 0
    for name in try names(writtenBefore: now - 3_600_000) where try !isNeeded(name) {
      try remove(name)
      removed += 1
    }
    return removed
  }
}

/// One image, open to be read. Any thread.
protocol MediaReader: Sendable {
  /// In bytes.
  var size: Int { get }
  /// Up to `count` bytes from `offset`; fewer only at the end.
  /// - Throws: `MediaError`, also if the image has gone meanwhile; `DatabaseError`.
  func read(_ count: Int, at offset: Int) throws -> [UInt8]
}
