import PluginTesting

/// Namespaces of a host's own (unshare(1), user_namespaces(7)), in which a test may lower what the kernel grants. The
/// kernel of some machines grants no such namespace to a test.
enum Namespace {
  /// True if a process can have a user namespace, with a process-id namespace in it.
  static let isAvailable: Bool = {
    do {
      return try ReleaseBuild.run(unshare, ["-rpf", "--mount-proc", "true"]).status == .exited(0)
    } catch {
      return false
    }
  }()

  private static let unshare = "/usr/bin/unshare"

  /// Starts a host in a user namespace, after what a shell does there as its root.
  static func user(_ script: String) -> [String] { [unshare, "-rU"] + shell(script) }

  /// The same, and with mounts of its own.
  static func mount(_ script: String) -> [String] { [unshare, "-rm"] + shell(script) }

  /// The host becomes PID 1 of a namespace; the process that a test has started waits for it, and ends as it does.
  static func process(_ script: String) -> [String] {
    [unshare, "-rpf", "--kill-child", "--mount-proc"] + shell(script)
  }

  private static func shell(_ script: String) -> [String] {
    ["/bin/sh", "-c", script + "\nexec \"$@\"", "sh"]
  }
}
