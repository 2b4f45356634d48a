import Glibc
import Testing

@testable import bulkhead

@Suite("Spawn")
struct SpawnTests {
  /// Runs a script with these descriptors. Its exit status.
  private func run(
    _ script: String, _ descriptors: [(from: FileDescriptor, to: Int32)]
  ) throws -> Int32 {
    let pid = try Spawn.start("/bin/sh", ["-c", script], environment: [:], descriptors: descriptors)
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
    return status >> 8 & 0xff
  }

  private func file(_ text: String) throws -> FileDescriptor {
    try FileDescriptor.memory(named: "test", holding: Array("\(text)\n".utf8))
  }

  @Test("each descriptor comes to its number, also where the numbers are each other's")
  func swapped() throws {
    let first = try file("first")
    let second = try file("second")
    defer {
      first.close()
      second.close()
    }
    let script =
      "read a < /proc/self/fd/\(first.raw); read b < /proc/self/fd/\(second.raw); test $a$b = secondfirst"
    #expect(try run(script, [(first, second.raw), (second, first.raw)]) == 0)
  }

  @Test("a high number is no source's undoing, and no other descriptor is passed on")
  func highNumbers() throws {
    OpenFileLimit.raise()
    let low = try file("low")
    let high = FileDescriptor(raw: fcntl(low.raw, F_DUPFD_CLOEXEC, 512))
    let leaked = FileDescriptor(raw: dup(high.raw))
    defer { for descriptor in [low, high, leaked] { descriptor.close() } }
    #expect(high.raw >= 512)
    let script = "read a < /proc/self/fd/3; test $a = low && test ! -e /proc/self/fd/\(leaked.raw)"
    #expect(leaked.raw > 3)
    #expect(try run(script, [(high, 3)]) == 0)
  }

  @Test("a number beyond the limit is an error, and nothing is started")
  func beyondTheLimit() throws {
    let file = try file("x")
    defer { file.close() }
    #expect(throws: SystemError.self) { try run("exit 0", [(file, .max - 1)]) }
  }
}
