import Glibc
import LinuxShims

/// Where a running host says, outside of its configuration, which state directory it has: a small file in a directory of the
/// user's own, from its start to its end. The commands find the host by it while the configuration is broken, or says
/// another state directory than at the start.
///
/// The file holds two lines, `config PATH` and `state-dir PATH`, both absolute. Its lock (flock(2)) is the host's as long as
/// the host lives, however it ends, so that a record that a dead host has left is told from one that counts.
struct HostRecord {
  struct Entry: Equatable {
    var configuration: String
    var stateDirectory: String
  }

  private let path: String
  /// Holds the lock.
  private let descriptor: FileDescriptor

  /// Writes the record of this process. Best effort: without it the host is found by its configuration alone, and the log
  /// says why.
  static func write(_ entry: Entry, environment: [String: String] = Environment.all) -> HostRecord? {
    var failures: [String] = []
    for place in places(environment) {
      do throws(SystemError) {
        guard try prepare(place) else { continue }
        removeDead(in: place)
        return try write(entry, in: place)
      } catch { failures.append("\(error)") }
    }
    Log.shared.write(
      .info,
      "the place of this host is not written down: \(failures.joined(separator: "; ")); commands find it by its "
        + "configuration only")
    return nil
  }

  func remove() {
    unlink(path)
    descriptor.close()
  }

  /// What the living hosts of this user have written, in any of the places.
  static func living(environment: [String: String] = Environment.all) -> [Entry] {
    var found: [Entry] = []
    for place in places(environment) + [ofService] where isOurs(place) {
      for name in StateDirectory.entries(of: place).prefix(limit) {
        guard let entry = read("\(place)/\(name)"), !found.contains(entry) else { continue }
        found.append(entry)
      }
    }
    return found
  }

  /// By what a configuration is known, whether the file is there or not: its directory without links, and its name. The file
  /// itself may be a link that is set anew with each release.
  static func key(ofConfiguration path: String) -> String {
    let absolute = FilePaths.inWorkingDirectory.resolve(path)
    let directory = FilePaths(ofFile: absolute).directory
    let name = absolute.split(separator: "/").last.map(String.init) ?? ""
    guard let resolved = realpath(directory, nil) else { return absolute }
    defer { free(resolved) }
    return FilePaths(directory: String(cString: resolved)).resolve(name)
  }

  // MARK: Places

  /// Of records that are looked at; more hosts there are not.
  private static let limit = 1000

  /// Where a service of systemd's has its own (RuntimeDirectory=, systemd.exec(5)), whatever user it runs as. Only root can
  /// have made the directory around it.
  private static let ofService = "/run/bulkhead/host"

  /// Directories of the user's own, the best first. A command looks into all of them: it may run in another session.
  private static func places(_ environment: [String: String]) -> [String] {
    let user = geteuid()
    var places: [String] = []
    if let runtime = environment["RUNTIME_DIRECTORY"]?.split(separator: ":").first, runtime.hasPrefix("/") {
      places.append("\(runtime)/host")
    }
    if let runtime = environment["XDG_RUNTIME_DIR"], runtime.hasPrefix("/") {
      places.append("\(runtime)/bulkhead")
    }
    places.append("/run/user/\(user)/bulkhead")
    if user == 0 { places.append("/run/bulkhead-0") }
    places.append("/tmp/bulkhead-\(user)")
    return places
  }

  /// Makes the directory. False if there is no place for it.
  private static func prepare(_ place: String) throws(SystemError) -> Bool {
    if mkdir(place, 0o700) < 0 {
      if errno == ENOENT { return false }
      guard errno == EEXIST else { throw SystemError("mkdir \(place)") }
    }
    guard isOurs(place) else { throw SystemError("\(place), which others may change", EPERM) }
    return true
  }

  /// A directory of this user's, which nobody else can read or change: what stands there this user has written; for root also
  /// the service's.
  private static func isOurs(_ place: String) -> Bool {
    var status = stat()
    guard lstat(place, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_mode & 0o077 == 0 else {
      return false
    }
    return status.st_uid == geteuid() || geteuid() == 0 && place == ofService
  }

  // MARK: Files

  /// Under a name that is not looked at until the lock is held.
  private static func write(_ entry: Entry, in place: String) throws(SystemError) -> HostRecord {
    let path = "\(place)/\(getpid())"
    let draft = "\(place)/.\(getpid())"
    let descriptor = FileDescriptor(
      raw: try checked("open \(draft)") {
        Glibc.open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
      })
    do throws(SystemError) {
      try checked("flock \(draft)") { shim_lock(descriptor.raw) }
      try descriptor.writeAll(
        Array("config \(entry.configuration)\nstate-dir \(entry.stateDirectory)\n".utf8))
      try checked("rename \(path)") { rename(draft, path) }
    } catch {
      unlink(draft)
      descriptor.close()
      throw error
    }
    return HostRecord(path: path, descriptor: descriptor)
  }

  private static func removeDead(in place: String) {
    for name in StateDirectory.entries(of: place).prefix(limit) {
      guard let dead = open("\(place)/\(name)"), shim_lock(dead.raw) == 0 else { continue }
      unlink("\(place)/\(name)")
      dead.close()
    }
  }

  private static func open(_ path: String) -> FileDescriptor? {
    let raw = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    return raw < 0 ? nil : FileDescriptor(raw: raw)
  }

  /// Nil if its host is gone, or it makes no sense.
  private static func read(_ path: String) -> Entry? {
    guard let file = open(path) else { return nil }
    defer { file.close() }
    guard shim_lock(file.raw) < 0, errno == EWOULDBLOCK else { return nil }
    let bytes: [UInt8]
    do throws(FileContents.Failure) {
      // The very file that was looked at.
      bytes = try FileContents.read("/proc/self/fd/\(file.raw)", limit: 16 << 10)
    } catch { return nil }
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    func value(_ key: String) -> String? {
      lines.first { $0.hasPrefix("\(key) ") }.map { String($0.dropFirst(key.count + 1)) }
    }
    guard let configuration = value("config"), let directory = value("state-dir") else { return nil }
    return Entry(configuration: configuration, stateDirectory: directory)
  }
}
