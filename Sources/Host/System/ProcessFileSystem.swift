import Glibc

/// The file system that tells a process about itself (proc(5)).
enum ProcessFileSystem {
  /// Ends the process with a message where /proc is not mounted: the command line is read from there, and workers are
  /// started from the link to this program that is there.
  static func require() {
    guard access("/proc/self/exe", F_OK) != 0 else { return }
    Output.complain("/proc is not mounted here: mount -t proc proc /proc")
    exit(ExitStatus.unavailable.rawValue)
  }
}
