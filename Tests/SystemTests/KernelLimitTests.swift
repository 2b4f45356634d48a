import Foundation
import PluginTesting
import Testing

/// What the kernel does not grant.
@Suite("A kernel that grants less", .enabled(if: Namespace.isAvailable))
struct KernelLimitTests {
  @Test(
    "without inotify the host notices an edit and a library by looking, and says so once",
    arguments: ["max_inotify_instances", "max_inotify_watches"])
  func noInotify(limit: String) throws {
    let directory = try TemporaryDirectory()
    let library = "\(directory.path)/libTagged.so"
    try FileManager.default.copyItem(atPath: ReleaseBuild.library("FaultPlugin"), toPath: library)
    func settings(_ tag: String) -> HostSettings {
      HostSettings(plugins: Section.plugin("fault", library: library, ["mount = /fault", "tag = \(tag)"]))
    }
    let host = try HostProcess(
      settings("one"), in: directory, starter: Namespace.user("echo 0 >/proc/sys/user/\(limit)"))
    func tag() throws -> String? { try host.get("/fault/echo").header("X-Fault-Tag") }
    #expect(try tag() == "one")
    for next in ["two", "three"] {
      try host.rewrite(settings(next))
      try wait("the edit to be taken") { try tag() == next }
    }
    let generation = try host.worker().generation
    try FileManager.default.removeItem(atPath: library)
    try FileManager.default.copyItem(atPath: ReleaseBuild.library("PlainCPlugin"), toPath: library)
    try wait("the library to be noticed") {
      try host.worker().generation > generation || host.log.contains("generation \(generation + 1)")
    }
    let lines = host.log.split(separator: "\n").filter { $0.contains("up to two seconds late: inotify_") }
    #expect(lines.count == 1, "\(host.log)")
    #expect(try host.stop() == .exited(0))
  }

  @Test("without /proc the program says so, and ends with 69")
  func noProc() throws {
    let command = Namespace.mount("mount -t tmpfs none /proc") + [ReleaseBuild.binary, "version"]
    let result = try ReleaseBuild.run(command[0], Array(command.dropFirst()))
    #expect(result.status == .exited(69))
    #expect(result.errors.contains("/proc is not mounted"), "\(result.errors)")
  }
}
