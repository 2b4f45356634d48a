import Glibc

/// Private copies of the plugins' libraries, by content: what is loaded is exactly what was digested, and writing over
/// a library's file touches no running worker, whose code is mapped from its own copy.
///
/// `state-dir/libraries/SHA256/FILE` are the copies in use, `state-dir/good/SHA256/FILE` those that have served well. Where the
/// directory cannot be written, is full, or allows no execution, copies are held in memory instead.
struct LibraryStore {
  /// A library's file as it was when it was looked at.
  struct File: Sendable, Equatable {
    /// Lower-case hexadecimal; nil if the file cannot be read.
    var sha256: String?
    /// A path for dlopen(3) in a worker. Nil if there is none: the file is not there, is not safe, or could not be copied or
    /// digested. Then a worker makes one of its own.
    var copy: String?
  }

  /// What changes when a file does (stat(2)).
  struct Stamp: Sendable, Equatable {
    var device: UInt64
    var inode: UInt64
    var size: Int64
    var modified: Int64
    var changed: Int64
    var mode: UInt32

    /// Nil if there is no such file.
    static func of(_ path: String) -> Stamp? {
      var status = stat()
      guard stat(path, &status) == 0 else { return nil }
      func nanoseconds(_ time: timespec) -> Int64 {
        Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
      }
      return Stamp(
        device: UInt64(status.st_dev), inode: UInt64(status.st_ino), size: Int64(status.st_size),
        modified: nanoseconds(status.st_mtim), changed: nanoseconds(status.st_ctim), mode: status.st_mode)
    }
  }

  let copies: String
  let good: String
  private let memory = MemoryCopies()
  /// The copies in files, by path: should somebody remove the state directory, they are made anew from these.
  private var originals: [String: (file: FileDescriptor, sha256: String)] = [:]
  private var known: [String: (stamp: Stamp, file: File)] = [:]
  private var draftCount = 0
  /// That copies are not where they should be.
  private var hasSaidWhere = false
  /// Digests by the number of the look that found them, as far as it is not known to be heard: the generation that they are for
  /// may be still to come.
  private var taken: [Int: Set<String>] = [:]
  private var lookCount = 0

  /// A file that was changed a moment ago may change again within one tick of the file system's clock.
  private static let settled: Int64 = 1_000_000_000

  /// - Throws: when the directories cannot be made.
  init(stateDirectory: String, isWritable: Bool = true) throws(SystemError) {
    copies = "\(stateDirectory)/libraries"
    good = "\(stateDirectory)/good"
    guard isWritable else { return }
    try makeDirectories()
  }

  func makeDirectories() throws(SystemError) {
    try StateDirectory.make(copies)
    try StateDirectory.make(good)
  }

  // MARK: Copies in use

  /// Looks at the files, and copies those that are new. By path.
  mutating func take(_ paths: [String]) -> [String: File] {
    var found: [String: File] = [:]
    var drafts: [(path: String, draft: Draft, stamp: Stamp)] = []
    var uncopied: [String] = []
    for path in Set(paths) {
      guard let stamp = Stamp.of(path) else { continue }
      if let known = known[path], known.stamp == stamp, known.file.copy.map(isThere) ?? false {
        found[path] = known.file
        continue
      }
      if let draft = draft(of: path) {
        drafts.append((path, draft, stamp))
      } else if stamp.mode & S_IFMT == S_IFREG, stamp.size <= LibraryFile.maximum {
        uncopied.append(path)
      }
    }
    let digests = digests(of: drafts.map(\.draft.path) + uncopied)
    for (path, draft, stamp) in drafts {
      let sha256 = digests[draft.path]
      let file = File(sha256: sha256, copy: sha256.flatMap { settle(draft, as: $0, name: fileName(path)) })
      if file.copy == nil { discard(draft) }
      found[path] = file
      if Clock.realtime() - stamp.changed > LibraryStore.settled { known[path] = (stamp, file) }
    }
    for path in uncopied { found[path] = File(sha256: digests[path], copy: nil) }
    noteFound(found)
    return found
  }

  /// Removes copies that no digest of these stands for, but those that were found by later looks than `heard`.
  ///
  /// - Parameter heard: how many looks, the first being 1, whoever says `digests` knew of.
  mutating func keep(only digests: Set<String>, heard: Int) {
    taken = taken.filter { $0.key > heard }
    let kept = taken.values.reduce(digests) { $0.union($1) }
    for name in StateDirectory.entries(of: copies) where !kept.contains(name) {
      StateDirectory.remove(directory: "\(copies)/\(name)")
    }
    memory.keep(only: kept)
    for (place, original) in originals where !kept.contains(original.sha256) {
      original.file.close()
      originals[place] = nil
    }
  }

  /// Makes copies anew that somebody has removed.
  func restore() {
    for (place, original) in originals where access(place, F_OK) != 0 {
      do throws(SystemError) {
        try StateDirectory.make(copies)
        try StateDirectory.make(FilePaths(ofFile: place).directory)
        // Whoever finds it under its name finds it whole.
        let draft = "\(copies)/.draft"
        try LibraryStore.copy("/proc/self/fd/\(original.file.raw)", to: draft)
        try checked("rename \(place)") { rename(draft, place) }
        Log.shared.write(.warning, "\(place) was removed, and is made anew")
      } catch {
        Log.shared.write(.error, "\(place) was removed, and cannot be made anew: \(error)")
      }
    }
  }

  /// The files as they were when they were looked at, as long as their copies are there, or can be made anew; else as they are
  /// now.
  mutating func take(_ paths: [String], asBefore files: [String: File]?) -> [String: File] {
    restore()
    guard let files, files.values.allSatisfy({ $0.copy.map(isThere) ?? true }) else { return take(paths) }
    noteFound(files)
    return files
  }

  private mutating func noteFound(_ files: [String: File]) {
    lookCount += 1
    taken[lookCount] = Set(files.values.compactMap(\.sha256))
  }

  /// A copy that has no digest yet.
  private enum Draft {
    case file(String)
    case memory(SealedFile)

    var path: String {
      switch self {
      case .file(let path): path
      case .memory(let file): file.path
      }
    }
  }

  private func isThere(_ copy: String) -> Bool {
    copy.hasPrefix("\(copies)/") ? access(copy, R_OK) == 0 : memory.holds(copy)
  }

  /// Nil if the file may not be loaded anyway, or cannot be copied.
  private mutating func draft(of path: String) -> Draft? {
    do throws(PluginFailure) { try LibraryFile.check(path) } catch { return nil }
    draftCount += 1
    let draft = "\(copies)/.draft-\(draftCount)"
    do throws(SystemError) {
      try LibraryStore.copy(path, to: draft)
      try MappedFile.checkExecutable(draft)
      return .file(draft)
    } catch {
      unlink(draft)
      return draftInMemory(of: path, because: "\(error)")
    }
  }

  private mutating func draftInMemory(of path: String, because reason: String) -> Draft? {
    do throws(SystemError) {
      let file = try MemoryCopies.make(of: path, name: fileName(path))
      sayOnce("copies of libraries are held in memory, since the state directory cannot hold them: \(reason)")
      return .memory(file)
    } catch {
      sayOnce(
        "each worker makes its own copies of libraries in memory, since neither the state directory can hold them "
          + "(\(reason)) nor the supervisor (\(error))")
      return nil
    }
  }

  private mutating func sayOnce(_ text: String) {
    if !hasSaidWhere { Log.shared.write(.warning, text) }
    hasSaidWhere = true
  }

  /// Moves the draft to its place; the place's path, or nil if that cannot be.
  private mutating func settle(_ draft: Draft, as sha256: String, name: String) -> String? {
    switch draft {
    case .memory(let file): return memory.hold(file, sha256: sha256, name: name)
    case .file(let path):
      let directory = "\(copies)/\(sha256)"
      let place = "\(directory)/\(name)"
      guard mkdir(directory, 0o700) == 0 || errno == EEXIST, rename(path, place) == 0 else { return nil }
      let original = open(place, O_RDONLY | O_CLOEXEC)
      originals.removeValue(forKey: place)?.file.close()
      if original >= 0 { originals[place] = (FileDescriptor(raw: original), sha256) }
      return place
    }
  }

  private func discard(_ draft: Draft) {
    switch draft {
    case .file(let path): unlink(path)
    case .memory(let file): file.close()
    }
  }

  private func digests(of paths: [String]) -> [String: String] {
    do throws(SystemError) {
      return Dictionary(try LibraryDigest.compute(paths).map { ($0.path, $0.sha256) }) { first, _ in first }
    } catch {
      Log.shared.write(.warning, "digests of libraries are not known: \(error)")
      return [:]
    }
  }

  // MARK: Good copies

  /// Keeps a copy for the day when a later one fails. False if it cannot be kept.
  func keepGood(_ copy: String, sha256: String) -> Bool {
    let directory = "\(good)/\(sha256)"
    let place = "\(directory)/\(memory.name(of: copy) ?? fileName(copy))"
    guard mkdir(directory, 0o700) == 0 || errno == EEXIST else { return false }
    if link(copy, place) == 0 || errno == EEXIST { return true }
    do throws(SystemError) {
      try LibraryStore.copy(copy, to: place)
      return true
    } catch {
      Log.shared.write(.warning, "the good copy \(place) cannot be kept: \(error)")
      unlink(place)
      return false
    }
  }

  /// A path for dlopen(3) in a worker: a good copy, if it is there and still what its name says.
  func goodCopy(sha256: String) -> String? {
    // One that is in use is as good, should the other have been removed.
    goodCopy(sha256: sha256, in: "\(good)/\(sha256)") ?? goodCopy(sha256: sha256, in: "\(copies)/\(sha256)")
  }

  private func goodCopy(sha256: String, in directory: String) -> String? {
    guard let name = StateDirectory.entries(of: directory).first else { return nil }
    let path = "\(directory)/\(name)"
    guard digests(of: [path])[path] == sha256 else { return nil }
    do throws(SystemError) { try MappedFile.checkExecutable(path) } catch {
      return goodCopyInMemory(of: path, sha256: sha256, name: name)
    }
    return path
  }

  private func goodCopyInMemory(of path: String, sha256: String, name: String) -> String? {
    if let held = memory.path(sha256: sha256) { return held }
    do throws(SystemError) {
      let file = try MemoryCopies.make(of: path, name: name)
      guard digests(of: [file.path])[file.path] == sha256 else {
        file.close()
        return nil
      }
      return memory.hold(file, sha256: sha256, name: name)
    } catch {
      Log.shared.write(.warning, "the good copy \(path) cannot be loaded: \(error)")
      return nil
    }
  }

  func removeGood(sha256: String) { StateDirectory.remove(directory: "\(good)/\(sha256)") }

  // MARK: Files

  private func fileName(_ path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? "library.so"
  }

  private static func copy(_ source: String, to target: String) throws(SystemError) {
    // Not blocking, should the path be a named pipe's.
    let input = FileDescriptor(
      raw: try checked("open \(source)") { open(source, O_RDONLY | O_CLOEXEC | O_NONBLOCK) })
    defer { input.close() }
    var status = stat()
    try checked("stat \(source)") { fstat(input.raw, &status) }
    guard status.st_mode & S_IFMT == S_IFREG, status.st_size <= LibraryFile.maximum else {
      throw SystemError("copy \(source)", EFBIG)
    }
    let output = FileDescriptor(
      raw: try checked("open \(target)") {
        open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
      })
    defer { output.close() }
    var chunk = [UInt8](repeating: 0, count: 256 << 10)
    while true {
      let count = read(input.raw, &chunk, chunk.count)
      if count < 0 {
        if errno == EINTR { continue }
        throw SystemError("read \(source)")
      }
      if count == 0 { return }
      try output.writeAll(Array(chunk[..<count]))
    }
  }
}
