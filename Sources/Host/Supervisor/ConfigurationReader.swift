import Glibc
import LinuxShims
import Synchronization

/// Reads the configuration and copies the libraries that it names, on a thread of its own: a slow disk, a large file or one
/// that is still being written does not hold up the supervisor.
///
/// What is asked for is done in its order, one after the other. A file that some process has open for writing is not read
/// until it is closed, for 5 s at most.
final class ConfigurationReader: @unchecked Sendable {
  /// Why the files are read.
  enum Purpose: Sendable, Equatable {
    /// They have changed, or may have.
    case change
    /// What is held is tried again.
    case retry
    /// An operator asks for it (`reload`), or a signal does, in which case the client is `nobody`.
    case reload(client: ControlServer.Client, isForced: Bool)
  }

  enum Finding: Sendable {
    case configuration(Purpose, Result<Reading, ConfigurationErrors>)
    /// The libraries of a generation that waits for them.
    case libraries(generation: Int, [String: LibraryStore.File])
  }

  struct Reading: Sendable {
    var source: ConfigurationSource
    /// By path.
    var files: [String: LibraryStore.File]
  }

  private enum Task: Sendable {
    case configuration(Purpose)
    case libraries(generation: Int, paths: [String], before: [String: LibraryStore.File]?)
    /// - Parameter heard: how many of the looks at libraries the supervisor knew of when it said so.
    case keep(Set<String>, heard: Int)
    case makeDirectories
  }

  /// Can be read from while there are findings.
  let descriptor: FileDescriptor
  private let path: String
  private let listenOverride: String?
  private let queue = Mutex<[Task]>([])
  private let findings = Mutex<[Finding]>([])
  private let work: UnsafeMutablePointer<sem_t>
  /// The reader's thread alone.
  private var libraries: LibraryStore
  /// The supervisor's thread alone: findings about libraries that it has heard.
  private var heard = 0
  /// Files that are known to be half-written, where the kernel does not tell.
  let openFiles = Mutex<Set<String>>([])

  /// - Throws: when the system has no descriptor or thread left.
  init(path: String, listenOverride: String?, libraries: LibraryStore) throws(SystemError) {
    self.path = path
    self.listenOverride = listenOverride
    self.libraries = libraries
    descriptor = FileDescriptor(
      raw: try checked("eventfd") { eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) })
    work = .allocate(capacity: 1)
    sem_init(work, 0, 0)
    guard Thread.start(named: "reader", { self.run() }) else { throw SystemError("pthread_create", EAGAIN) }
  }

  // MARK: The supervisor's side

  /// Asks for the files to be read. What is to be read already, for the same purpose, is not read twice.
  func read(_ purpose: Purpose) {
    let isAsked = queue.withLock { tasks in
      tasks.contains { if case .configuration(purpose) = $0 { true } else { false } }
    }
    guard !isAsked else { return }
    add(.configuration(purpose))
  }

  /// Asks for copies of a generation's libraries.
  ///
  /// - Parameter files: what they were when they were looked at, if they were.
  func takeLibraries(_ paths: [String], asBefore files: [String: LibraryStore.File]?, for generation: Int) {
    add(.libraries(generation: generation, paths: paths, before: files))
  }

  /// Has copies removed that no digest of these stands for; but not what was found, and is not heard yet.
  func keep(only digests: Set<String>) { add(.keep(digests, heard: heard)) }

  /// The supervisor is about to do what it does about a finding: from now on it says itself which copies it needs.
  func noteHeard(_ finding: Finding) {
    switch finding {
    case .libraries, .configuration(_, .success): heard += 1
    case .configuration(_, .failure): break
    }
  }

  /// Has the directories of copies made anew.
  func makeDirectories() { add(.makeDirectories) }

  func takeFindings() -> [Finding] {
    var count: UInt64 = 0
    _ = Glibc.read(descriptor.raw, &count, 8)
    return findings.withLock { found in
      defer { found = [] }
      return found
    }
  }

  private func add(_ task: Task) {
    queue.withLock { $0.append(task) }
    sem_post(work)
  }

  // MARK: The reader's thread

  private func run() {
    while true {
      while sem_wait(work) != 0 {}
      guard let task = queue.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) else { continue }
      switch task {
      case .configuration(let purpose): tell(.configuration(purpose, readConfiguration()))
      case .libraries(let generation, let paths, let files):
        tell(.libraries(generation: generation, libraries.take(paths, asBefore: files)))
      case .keep(let digests, let heard): libraries.keep(only: digests, heard: heard)
      case .makeDirectories:
        do throws(SystemError) {
          try libraries.makeDirectories()
          libraries.restore()
        } catch {
          Log.shared.write(.error, "the directories of libraries cannot be made anew: \(error)")
        }
      }
    }
  }

  private func tell(_ finding: Finding) {
    findings.withLock { $0.append(finding) }
    var one: UInt64 = 1
    if write(descriptor.raw, &one, 8) < 0 {
      Log.shared.write(.error, "the supervisor cannot be woken: \(SystemError("write"))")
    }
  }

  private func readConfiguration() -> Result<Reading, ConfigurationErrors> {
    waitUntilClosed([path])
    return ConfigurationSource.read(path, listenOverride: listenOverride).map { source in
      let paths = source.configuration.plugins.map(\.libraryPath)
      waitUntilClosed(paths)
      return Reading(source: source, files: libraries.take(paths))
    }
  }

  private func waitUntilClosed(_ paths: [String]) {
    let isKnown = { (path: String) in self.openFiles.withLock { $0.contains(path) } }
    guard !FileWriters.wait(for: paths, isOpen: isKnown) else { return }
    let open = paths.filter { FileWriters.areThere(at: $0) ?? isKnown($0) }
    guard !open.isEmpty else { return }
    Log.shared.write(
      .warning, "a file is kept open for writing, and is read as it is: \(open.joined(separator: ", "))")
  }
}
