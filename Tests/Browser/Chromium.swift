import Foundation
import PluginTesting

/// A real Chromium without a window, on a profile of its own in a temporary directory.
///
/// It is driven by the DevTools protocol over descriptors of its own (`--remote-debugging-pipe`), so that no port is open, and
/// reaches this machine only. It is ended, with all of its processes, when the value goes. One thread at a time.
public final class Chromium {
  let pipe: DevToolsPipe
  private let pid: pid_t
  private let profile: TemporaryDirectory

  /// The names under which distributions install it, in PATH.
  private static let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]

  private static let arguments = [
    "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--no-default-browser-check",
    // It opens nothing but what a test serves; and root, whom its sandbox refuses, is what runs the tests in containers.
    "--no-sandbox",
    "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio", "--force-color-profile=srgb",
    // Of this machine, nothing else: no update, no check of any list, no telemetry.
    "--disable-background-networking", "--disable-component-update", "--disable-default-apps",
    "--disable-extensions", "--disable-sync", "--disable-breakpad", "--disable-crash-reporter",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    "--no-proxy-server", "about:blank",
  ]

  /// - Throws: `HarnessError.system` if there is no Chromium, or it cannot be started.
  public init() throws {
    profile = try TemporaryDirectory()
    let executable = try Chromium.executable()
    let (ours, theirs) = try Chromium.channel()
    defer { close(theirs) }
    pipe = DevToolsPipe(ours)
    pid = try Chromium.spawn(
      executable, Chromium.arguments + ["--user-data-dir=\(profile.path)/profile"],
      log: "\(profile.path)/chromium.err", channel: theirs)
    let version = try pipe.call("Browser.getVersion")
    guard version["product"].string != nil else {
      throw HarnessError.malformed("Browser.getVersion: \(version)")
    }
  }

  deinit {
    pipe.close()
    // The group is the browser's own: it was its leader from the start, and is not reaped yet.
    kill(-pid, SIGKILL)
    var raw: Int32 = 0
    while waitpid(pid, &raw, 0) < 0 && errno == EINTR {}
  }

  /// Opens an empty tab, in a profile that shares nothing with other tabs.
  public func open() throws -> BrowserTab {
    let context = try pipe.call("Target.createBrowserContext")["browserContextId"].string
    let target = try pipe.call(
      "Target.createTarget", ["url": "about:blank", "browserContextId": context ?? ""])["targetId"].string
    let session = try pipe.call(
      "Target.attachToTarget", ["targetId": target ?? "", "flatten": true])["sessionId"].string
    guard let session else { throw HarnessError.malformed("Target.attachToTarget without a session") }
    return try BrowserTab(pipe: pipe, session: session)
  }

  // MARK: The process

  private static func executable() throws -> String {
    let directories = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin").split(separator: ":")
    for name in names {
      for directory in directories where access("\(directory)/\(name)", X_OK) == 0 {
        return "\(directory)/\(name)"
      }
    }
    throw HarnessError.system(
      call: "find Chromium", reason: "none of \(names.joined(separator: ", ")) is in PATH: scripts/deps test")
  }

  /// Two connected ends, closed on exec, above the numbers that the browser's own get: a dup2 onto itself would leave
  /// the descriptor to be closed.
  private static func channel() throws -> (Int32, Int32) {
    var pair: [Int32] = [-1, -1]
    guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &pair) == 0
    else {
      throw HarnessError.system(call: "socketpair", reason: String(cString: strerror(errno)))
    }
    defer { for end in pair { close(end) } }
    return (fcntl(pair[0], F_DUPFD_CLOEXEC, 10), fcntl(pair[1], F_DUPFD_CLOEXEC, 10))
  }

  /// In a process group of its own, with the channel where Chromium looks for it: it reads from 3 and writes to 4.
  private static func spawn(
    _ executable: String, _ arguments: [String], log: String, channel: Int32
  ) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 2, log, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    posix_spawn_file_actions_adddup2(&actions, channel, 3)
    posix_spawn_file_actions_adddup2(&actions, channel, 4)
    ChildProcess.closeAll(from: 5, &actions)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    var all = sigset_t()
    sigemptyset(&none)
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))
    let environment = ReleaseBuild.cleanEnvironment
    var argv: [UnsafeMutablePointer<CChar>?] = ([executable] + arguments).map { strdup($0) } + [nil]
    var envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for pointer in argv + envp { free(pointer) } }
    var child: pid_t = 0
    let code = posix_spawn(&child, executable, &actions, &attributes, &argv, &envp)
    guard code == 0 else {
      throw HarnessError.system(call: "spawn \(executable)", reason: String(cString: strerror(code)))
    }
    return child
  }
}
