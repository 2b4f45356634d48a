import Foundation
import PluginTesting

/// A reader at a terminal: one bash, in a home directory of its own, where `bulkhead` is a clone that has been built.
///
/// Whatever is started in it ends with it: each process of its session, and each that works below its directory, by its id.
/// If this process dies first, bash sees the end of its input and does the same.
final class TutorialSession {
  let home: String
  private let directory: TemporaryDirectory
  private let bash: ChildProcess
  /// Our end of bash's standard input.
  private let input: Int32
  private var count = 0

  /// - Parameter ports: those that stand for the ports of the shipped `plugins.conf`.
  /// - Throws: `HarnessError.system`, or what laying out the clone throws.
  init(ports: TutorialPorts? = nil) throws {
    directory = try TemporaryDirectory()
    home = directory.path + "/reader"
    // Open to be passed through: a server that refuses to run as root works below it as somebody else.
    try FileManager.default.setAttributes([.posixPermissions: 0o711], ofItemAtPath: directory.path)
    try FileManager.default.createDirectory(
      atPath: home, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
    try Self.layClone(at: home + "/bulkhead")
    if let ports {
      let path = home + "/bulkhead/plugins.conf"
      try ports.replaced(in: String(contentsOfFile: path, encoding: .utf8))
        .write(toFile: path, atomically: true, encoding: .utf8)
    }

    var ends: [Int32] = [-1, -1]
    guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0
    else {
      throw HarnessError.system(call: "socketpair", reason: String(cString: strerror(errno)))
    }
    defer { close(ends[1]) }
    input = ends[0]
    do {
      bash = try ChildProcess(
        "/usr/bin/setsid", ["bash", "--noprofile", "--norc"], environment: Self.environment(home: home),
        directory: directory.path, name: "bash", input: ends[1])
    } catch {
      close(input)
      throw error
    }
    // `ERR` sees every command that fails, and not only the last.
    try tell(
      """
      umask 022; cd "$HOME"; trap 'TUTORIAL_STATUS=$?' ERR
      trap 'for process in $(ps -o pid= --sid $$); do [ $process = $$ ] || kill $process; done 2>/dev/null' EXIT
      """)
  }

  deinit { end() }

  /// Runs commands in the reader's shell.
  ///
  /// - Returns: what they print, to both outputs in one, and the status of the last of them that failed, or 0.
  /// - Throws: `HarnessError.timedOut` if they do not end in time, and what they have printed by then.
  func run(_ commands: String, within limit: Duration) throws -> (status: Int32, output: String) {
    count += 1
    let step = "\(directory.path)/step-\(count)"
    try directory.write("step-\(count).sh", commands + "\n")
    try tell(
      """
      TUTORIAL_STATUS=0; source \(step).sh >\(step).out 2>&1 </dev/null
      echo $TUTORIAL_STATUS >\(step).new; mv \(step).new \(step).status
      """)
    var status: Int32?
    do {
      try wait("the end of: \(commands)", within: limit) {
        status = text(of: step + ".status").flatMap {
          Int32($0.trimmingCharacters(in: .whitespacesAndNewlines))
        }
        return status != nil || bash.exitStatus() != nil
      }
    } catch HarnessError.timedOut(let what) {
      throw HarnessError.timedOut("\(what)\nit has printed: \(text(of: step + ".out") ?? "")")
    }
    guard let status else { throw HarnessError.timedOut("bash, which has ended within: \(commands)") }
    return (status, text(of: step + ".out") ?? "")
  }

  /// Writes a file where the reader's shell is.
  func write(_ path: String, _ content: String) throws {
    let source = try directory.write("file", content, mode: 0o644)
    let result = try run(
      "mkdir -p \"$(dirname '\(path)')\" && cat '\(source)' >'\(path)'", within: .seconds(10))
    guard result.status == 0 else { throw HarnessError.system(call: "write \(path)", reason: result.output) }
  }

  // MARK: The end

  private func end() {
    close(input)
    bash.send(signal: SIGTERM)
    for (signal, limit) in [(SIGTERM, Duration.seconds(5)), (SIGKILL, .seconds(5))] {
      let deadline = Deadline(after: limit)
      var told: Set<pid_t> = []
      while true {
        let left = processes()
        if left.isEmpty { break }
        for process in left where told.insert(process).inserted { kill(process, signal) }
        if deadline.hasPassed { break }
        _ = bash.exitStatus()
        usleep(20_000)
      }
    }
  }

  /// Those of this session, and those that work below its directory, whatever session they have gone to.
  func processes() -> [pid_t] {
    // Without /proc there is nothing to look at, and with it a process may be gone before it is looked at.
    let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return all.compactMap { pid_t($0) }.filter { process in
      guard let stat = text(of: "/proc/\(process)/stat"), let name = stat.lastIndex(of: ")") else {
        return false
      }
      // State, parent, group, session.
      let fields = stat[name...].split(separator: " ").dropFirst()
      guard fields.count > 3, fields.first != "Z" else { return false }
      if fields[fields.startIndex + 3] == "\(bash.pid)" { return true }
      let place = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/cwd")
      return place.map { $0 == home || $0.hasPrefix(home + "/") } ?? false
    }
  }

  // MARK: Its parts

  private func tell(_ line: String) throws {
    let bytes = Array((line + "\n").utf8)
    guard send(input, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
      throw HarnessError.system(call: "write to bash", reason: String(cString: strerror(errno)))
    }
  }

  private func text(of path: String) -> String? {
    FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
  }

  private static func environment(home: String) -> [String: String] {
    var environment = ReleaseBuild.cleanEnvironment
    // A toolchain that swiftly has installed is found below the real home.
    if let real = environment["HOME"] {
      for (name, place) in [("SWIFTLY_HOME_DIR", ""), ("SWIFTLY_BIN_DIR", "/bin")]
      where environment[name] == nil {
        environment[name] = "\(real)/.local/share/swiftly\(place)"
      }
    }
    environment["HOME"] = home
    environment["LC_ALL"] = "C.UTF-8"
    return environment
  }

  /// The sources by links, the build under test by copies: a program looks around itself for the package that it is of.
  private static func layClone(at clone: String) throws {
    let files = FileManager.default
    try files.createDirectory(atPath: clone + "/.build/release", withIntermediateDirectories: true)
    for name in try files.contentsOfDirectory(atPath: ReleaseBuild.packageRoot) where !name.hasPrefix(".") {
      let source = "\(ReleaseBuild.packageRoot)/\(name)"
      var isDirectory: ObjCBool = false
      _ = files.fileExists(atPath: source, isDirectory: &isDirectory)
      if isDirectory.boolValue {
        try files.createSymbolicLink(atPath: "\(clone)/\(name)", withDestinationPath: source)
      } else {
        try files.copyItem(atPath: source, toPath: "\(clone)/\(name)")
      }
    }
    for name in try files.contentsOfDirectory(atPath: ReleaseBuild.pluginPath)
    where name == "bulkhead" || name.hasSuffix(".so") {
      try files.copyItem(
        atPath: "\(ReleaseBuild.pluginPath)/\(name)", toPath: "\(clone)/.build/release/\(name)")
    }
  }
}
