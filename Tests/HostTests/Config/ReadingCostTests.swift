import Glibc
import Testing

@testable import bulkhead

/// What a file that is wrong, or hostile, costs whoever reads it.
@Suite("plugins.conf: what reading costs")
struct ReadingCostTests {
  /// CPU time of this thread: the machine's other work does not count.
  private func cost(of text: [UInt8]) -> UInt64 {
    func now() -> UInt64 {
      var time = timespec()
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
      return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
    return (0..<3).map { _ in
      let start = now()
      let reading = ConfigurationFile.read(
        bytes: text, path: "/etc/plugins.conf", environment: ["A": String(repeating: "a", count: 1000)])
      _ = reading.configuration.describe(schemas: [:])
      return now() - start
    }.min() ?? 0
  }

  /// What a file is full of.
  struct Kind: Sendable, CustomTestStringConvertible {
    var testDescription: String
    /// The text of one more, by its number.
    var line: @Sendable (Int) -> String

    init(_ description: String, _ line: @escaping @Sendable (Int) -> String) {
      testDescription = description
      self.line = line
    }
  }

  @Test(
    "a file of four times the length costs about four times as much, whatever it is full of",
    arguments: [
      Kind("plugins") { "[plugin p\($0)]\nlibrary = A\n" },
      Kind("one plugin again and again") { _ in "[plugin p]\n" },
      Kind("sections that there are not") { "[section\($0)]\n" },
      Kind("addresses") { "listen = 10.\($0 >> 16 & 255).\($0 >> 8 & 255).\($0 & 255):80\n" },
      Kind("one address") { _ in "listen = 127.0.0.1:80\n" },
      Kind("sockets") { "listen = unix:/run/\($0)\n" },
      Kind("keys that there are not") { "a-rather-long-key-of-no-section-\($0) = 1\n" },
      Kind("one key") { _ in "threads = 1\n" }, Kind("probes") { "probe = GET /p\($0) 200\n" },
      Kind("variables") { _ in "state-dir = ${A}\n" }, Kind("nonsense") { "nonsense \($0)\n" },
      Kind("settings of a plugin") { ($0 == 0 ? "[plugin p]\nlibrary = A\n" : "") + "key-\($0) = 1\n" },
      Kind("a long line") { ($0 == 0 ? "state-dir = " : "") + "word$$ " },
      Kind("a list") { ($0 == 0 ? "trusted-proxies = 10.0.0.1" : ",10.0.0.\($0 & 255)") },
      Kind("braces") { ($0 == 0 ? "state-dir = ${A:-" : "") + "${B:-" },
    ])
  func linear(kind: Kind) {
    func file(_ count: Int) -> [UInt8] { Array(("[host]\n" + (0..<count).map(kind.line).joined()).utf8) }
    let (one, four) = (cost(of: file(2500)), cost(of: file(10000)))
    // Sixteen times, were it quadratic.
    #expect(four < one * 9, "\(kind.testDescription): \(one) ns, and \(four) ns for four times as much")
  }

  @Test("the first fifty errors are told, by line, and the number of the others")
  func errorLimit() {
    let text = String(repeating: "nonsense\n", count: 20_000) + "[hots]\n" + "[host]\nthreads = no\n"
    guard case .failure(let errors) = ConfigurationFile.parse(text: text, path: "p.conf") else {
      Issue.record("accepted")
      return
    }
    #expect(errors.errors.map(\.line) == (1...50).map { $0 })
    #expect(errors.more == 20_002 - 50)
    #expect(errors.description.hasSuffix("\nand 19952 more errors"))
    let one = ConfigurationErrors(
      (1...51).map { ConfigurationError(path: "p", line: 52 - $0, message: "m\($0)") })
    #expect(one.description.hasSuffix("p:50: m2\nand 1 more error"))
    #expect(one.description.hasPrefix("p:1: m51\n"))
  }

  @Test("an error that is found late, on an early line, is among the first fifty")
  func lateErrors() {
    // The plugin's missing library is seen only when every line has been read.
    let text = "[plugin a]\n" + String(repeating: "nonsense\n", count: 500)
    guard case .failure(let errors) = ConfigurationFile.parse(text: text, path: "p.conf") else {
      Issue.record("accepted")
      return
    }
    #expect(errors.errors[0].message == "[plugin a] has no 'library'")
    #expect(errors.errors.count == 50 && errors.more == 451)
  }

  @Test(
    "no error is long, whatever it is about",
    arguments: [
      "[host]\nprobe = GET LONG 200", "[LONG]", "[plugin LONG]\n[plugin LONG]", "[host LONG]",
      "[host]\nLONG = 1",
      "[cors]\norigins = LONG", "[cors]\nmethods = LONG(", "[plugin a]\nlibrary = A\nLONG_ = 1", "LONG = 1",
      "[host]\nstate-dir = ${LONG}", "[host]\nstate-dir = ${file:/LONG}", "[host]\nlisten = unix:/LONG",
      "[host]\ntrusted-proxies = LONG", "[plugin a]\nlibrary = A\nmount = /LONG?",
      "[plugin a]\nlibrary = /LONG/",
    ])
  func shortMessages(text: String) {
    let long = String(repeating: "l", count: 60_000)
    let parts = text.split(separator: "LONG", omittingEmptySubsequences: false)
    guard
      case .failure(let errors) = ConfigurationFile.parse(text: parts.joined(separator: long), path: "p.conf")
    else {
      Issue.record("accepted: \(text)")
      return
    }
    #expect(errors.description.utf8.count < 4000, "\(text)")
  }

  @Test("a value is measured while it is put together, and so is all that is put into one file")
  func substitutions() {
    let environment = ["A": String(repeating: "a", count: 60_000)]
    func errors(_ text: String) -> [ConfigurationError] {
      switch ConfigurationFile.parse(text: text, path: "p.conf", environment: environment) {
      case .success: []
      case .failure(let errors): errors.errors
      }
    }
    let one = errors("[plugin a]\nlibrary = A\nkey = " + String(repeating: "${A}", count: 25_000))
    #expect(one.map(\.message) == ["'key' is longer than 64k"])
    let nested = errors(
      "[plugin a]\nlibrary = A\nkey = ${B:-" + String(repeating: "${A}", count: 25_000) + "}")
    #expect(nested.map(\.message) == ["'key' is longer than 64k"])
    // 4 MiB are 69 of them.
    let lines = (0..<200).map { "key-\($0) = ${A}\n" }.joined()
    let many = errors("[plugin a]\nlibrary = A\n" + lines)
    #expect(many.first?.line == 3 + 69, "\(many.prefix(2))")
    #expect(many.first?.message.contains("more than 4m") == true, "\(many.prefix(2))")
    #expect(
      errors("[plugin a]\nlibrary = A\n" + lines.split(separator: "\n").prefix(69).joined(separator: "\n"))
        .isEmpty)
  }

  @Test("files that are put in are counted too, small ones and those that are too large")
  func files() throws {
    let small =
      "[plugin a]\nlibrary = A\n" + (0..<20_000).map { "k\($0) = ${file:/proc/self/cmdline}\n" }.joined()
    guard case .failure(let errors) = ConfigurationFile.parse(text: small, path: "p.conf") else {
      Issue.record("accepted")
      return
    }
    let first = try #require(errors.errors.first?.line)
    #expect(first < 9000, "\(first)")
  }

  @Test("only so many plugins are kept of a file that has too many, and it is said once")
  func plugins() {
    let text = (0..<5000).map { "[plugin p\($0)]\nlibrary = A\n" }.joined()
    let reading = ConfigurationFile.read(bytes: Array(text.utf8), path: "p.conf")
    #expect(reading.configuration.plugins.count == ConfigurationFile.maximumPlugins)
    #expect(
      reading.errors.first == [
        ConfigurationError(
          path: "p.conf", line: 1 + 2 * ConfigurationFile.maximumPlugins,
          message: "more than \(ConfigurationFile.maximumPlugins) plugins")
      ])
  }

  @Test("near names are looked for among names of about that length only")
  func nearestName() {
    let long = String(repeating: "listen", count: 10_000)
    #expect(NearestName.of(long, among: HostSection.keys.all) == nil)
    #expect(NearestName.of("lisen", among: HostSection.keys.all) == "listen")
    #expect(NearestName.of("abd", among: ["ab", "abcd"]) == "ab")
  }
}
