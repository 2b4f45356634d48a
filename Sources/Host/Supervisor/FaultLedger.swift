import Glibc

/// Every fault on disk: `state-dir/faults/ID.json`, and beside it `ID.request` where there was one. Bounded: the oldest
/// go first.
struct FaultLedger {
  let directory: String
  private let countLimit: Int
  private let byteLimit: Int
  /// Oldest first.
  private var records: [(id: String, bytes: Int)] = []
  private var window: (second: UInt64, count: Int) = (0, 0)

  static let suffix = ".json"
  static let requestSuffix = ".request"

  /// - Throws: when the directory cannot be made.
  init(
    stateDirectory: String, isWritable: Bool = true, countLimit: Int = 256, byteLimit: Int = 16 << 20
  ) throws(SystemError) {
    directory = FaultLedger.directory(in: stateDirectory)
    self.countLimit = countLimit
    self.byteLimit = byteLimit
    guard isWritable else { return }
    try makeDirectory()
    records = FaultLedger.ids(in: directory).map { id in
      (id, FaultLedger.size("\(directory)/\(id).json") + FaultLedger.size("\(directory)/\(id).request"))
    }
    prune()
  }

  func makeDirectory() throws(SystemError) { try StateDirectory.make(directory) }

  static func directory(in stateDirectory: String) -> String { "\(stateDirectory)/faults" }

  /// A file name, and no path.
  static func isValid(id: String) -> Bool {
    (1...64).contains(id.utf8.count)
      && id.utf8.allSatisfy { ValueText.isDigit($0) || $0 == 0x2d || (0x61...0x7a).contains($0) }
  }

  /// A plugin that throws without end is not to wear out the disk: so many records a second are kept.
  static let recordsPerSecond = 50

  /// True if another record may be kept now.
  ///
  /// - Parameter now: monotonic, in nanoseconds.
  mutating func admits(at now: UInt64) -> Bool {
    let second = now / 1_000_000_000
    if window.second != second { window = (second, 0) }
    window.count += 1
    return window.count <= FaultLedger.recordsPerSecond
  }

  /// Keeps a record.
  ///
  /// - Throws: `EINVAL` for what is no id; what the file system says.
  mutating func keep(_ id: String, _ json: [UInt8]) throws(SystemError) {
    try write(id, FaultLedger.suffix, json + [0x0a])
  }

  /// Keeps the request of a record: the redacted bytes that met the fault. Nothing if the record was not kept.
  mutating func keep(request bytes: [UInt8], of id: String) throws(SystemError) {
    guard records.contains(where: { $0.id == id }) else { return }
    try write(id, FaultLedger.requestSuffix, bytes)
  }

  private mutating func write(_ id: String, _ suffix: String, _ bytes: [UInt8]) throws(SystemError) {
    guard FaultLedger.isValid(id: id) else { throw SystemError("record a fault", EINVAL) }
    try StateDirectory.replace("\(directory)/\(id)\(suffix)", with: bytes)
    if let index = records.firstIndex(where: { $0.id == id }) {
      records[index].bytes += bytes.count
    } else {
      records.append((id, bytes.count))
    }
    prune()
  }

  private mutating func prune() {
    var total = records.reduce(0) { $0 + $1.bytes }
    while records.count > 1, records.count > countLimit || total > byteLimit {
      let oldest = records.removeFirst()
      total -= oldest.bytes
      unlink("\(directory)/\(oldest.id)\(FaultLedger.suffix)")
      unlink("\(directory)/\(oldest.id)\(FaultLedger.requestSuffix)")
    }
  }

  // MARK: Reading

  /// Ids of the records in a directory, oldest first.
  static func ids(in directory: String) -> [String] {
    let found = StateDirectory.entries(of: directory).compactMap { name -> (id: String, at: Int64)? in
      guard name.hasSuffix(suffix) else { return nil }
      let id = String(name.dropLast(suffix.utf8.count))
      guard isValid(id: id), let stamp = LibraryStore.Stamp.of("\(directory)/\(name)") else { return nil }
      return (id, stamp.modified)
    }
    return found.sorted { ($0.at, $0.id) < ($1.at, $1.id) }.map(\.id)
  }

  /// One record; nil if there is none, or it is no JSON.
  static func read(_ id: String, in directory: String) -> JSONValue? {
    guard isValid(id: id) else { return nil }
    do throws(FileContents.Failure) {
      return JSONValue(parsing: try FileContents.read("\(directory)/\(id)\(suffix)", limit: 1 << 20))
    } catch {
      return nil
    }
  }

  private static func size(_ path: String) -> Int { LibraryStore.Stamp.of(path).map { Int($0.size) } ?? 0 }
}
