import Foundation
import PluginTesting

/// Mounts that one process and its children see, and nobody else (unshare(1)).
enum MountNamespace {
  /// A command that mounts, and then becomes the one that is put behind it; nil where no namespace is to be had, as in many
  /// containers.
  ///
  /// - Parameter mounts: arguments of mount(8), each with the directory that is mounted on.
  static func launcher(_ mounts: [(options: String, directory: String)]) -> [String]? {
    guard let unshare else { return nil }
    // $1 and $2 are the options and the directory of the next mount; what is left in the end is the command.
    let script =
      mounts.map { _ in "mount -n -t tmpfs -o \"$1\" tmpfs \"$2\" && shift 2 && " }.joined() + "exec \"$@\""
    return unshare + ["/bin/sh", "-c", script, "sh"] + mounts.flatMap { [$0.options, $0.directory] }
  }

  static var isAvailable: Bool { unshare != nil }

  /// As root plainly; as somebody else with a user namespace in which that user is root.
  private static let unshare: [String]? = {
    for flags in [["--mount"], ["--mount", "--map-root-user"]] {
      let command = flags + ["--propagation", "private"]
      let trial = command + ["/bin/sh", "-c", "mount -n -t tmpfs tmpfs /tmp"]
      if let result = try? ReleaseBuild.run("/usr/bin/unshare", trial), result.status == .exited(0) {
        return ["/usr/bin/unshare"] + command
      }
    }
    print("no mount namespaces here: that the toolchain is not used is seen from what is mapped alone")
    return nil
  }()
}
