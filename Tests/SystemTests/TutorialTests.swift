import Foundation
import PluginTesting
import Testing

/// The documents that a newcomer follows do what they say: each is followed command by command, as written. How a document is
/// read stands at ``TutorialDocument``, and which words of it are replaced at ``TutorialPorts``: its ports, and no others.
/// `TUTORIAL=several-machines.md` in the environment follows that one alone.
@Suite("The tutorials")
struct TutorialTests {
  static let documents: [String] = {
    let folder = ReleaseBuild.packageRoot + "/docs/tutorials"
    do {
      let only = ProcessInfo.processInfo.environment["TUTORIAL"]
      return try FileManager.default.contentsOfDirectory(atPath: folder)
        .filter { $0.hasSuffix(".md") && (only ?? $0) == $0 }.sorted()
    } catch {
      return ["docs/tutorials cannot be read: \(error)"]
    }
  }()

  private func follow(_ document: String, preparation: String = "") throws {
    let text = try String(contentsOfFile: "\(ReleaseBuild.packageRoot)/\(document)", encoding: .utf8)
    do {
      try TutorialRun.follow(text, named: document, preparation: preparation)
    } catch let failure as TutorialRun.Failure {
      Issue.record("\(failure)")
    }
  }

  @Test("go as written", arguments: documents)
  func asWritten(document: String) throws { try follow("docs/tutorials/\(document)") }

  @Test("and so does what the README shows of a host that `make run` has started")
  func readme() throws {
    try follow(
      "README.md",
      preparation: """
        cd bulkhead
        .build/release/bulkhead run > host.log 2>&1 &
        until curl -sf -o /dev/null http://127.0.0.1:8080/health/ready; do sleep 0.1; done
        """)
  }
}

/// What the tests above would let pass, these do not.
@Suite("The tutorials' reader")
struct TutorialReaderTests {
  private func failure(of text: String) throws -> String {
    var found = ""
    do {
      try TutorialRun.follow(text, named: "it")
    } catch let failure as TutorialRun.Failure {
      found = failure.description
    }
    return found
  }

  @Test("one shell runs all blocks, and files are written and compared where it is")
  func oneShell() throws {
    let text = """
      ```sh
      mkdir a && cd a
      x=1
      ```
      `b/c.txt`:
      ```text
      written
      ```
      ```sh
      echo $x; cat b/c.txt
      ```
      ```console
      1
      writ…
      ```
      `b/c.txt`, as it is:
      ```ini
      …ten
      ```
      ```
      $ pwd
      …/reader/a
      $ echo done >&2
      done
      ```
      """
    #expect(try TutorialRun.follow(text, named: "it") == 4)
  }

  @Test("another output, another status and a command that fails on the way are failures, by line")
  func differences() throws {
    #expect(try failure(of: "```sh\necho a\n```\n```console\nb\n```").contains("line 2: "))
    #expect(try failure(of: "```sh\nfalse\ntrue\n```").contains("ended with 1, and not 0"))
    #expect(try failure(of: "<!-- test: exits 3 -->\n```sh\n(exit 3)\n```") == "")
    #expect(try failure(of: "<!-- test: exits 3 -->\n```sh\ntrue\n```").contains("ended with 0, and not 3"))
    #expect(try failure(of: "`x`, as it is:\n```c\nint x;\n```\n```sh\ntrue\n```").contains("the file x"))
  }

  @Test("a document without a command that is run is a failure")
  func empty() throws {
    #expect(try failure(of: "# Nothing\n```swift\nlet x = 1\n```").contains("no command"))
    #expect(try failure(of: "<!-- test: skip: why not -->\n```sh\ntrue\n```").contains("no command"))
  }

  @Test("an output without a command, an unknown mark and an open block are no document")
  func malformed() {
    for text in ["```console\na\n```", "<!-- test: maybe -->\n", "```sh\ntrue\n"] {
      #expect(throws: TutorialDocument.Malformed.self) { try TutorialDocument(text) }
    }
  }

  @Test("a step marked `again` waits for what it expects")
  func again() throws {
    let text = "```sh\nn=0\n```\n<!-- test: again -->\n```sh\nn=$((n + 1)); echo $n\n```\n```console\n3\n```"
    #expect(try failure(of: text) == "")
  }

  @Test("an ellipsis stands for any part of a line, and for any lines")
  func ellipsis() {
    #expect(TutorialOutput("a … c\n…\nz").matches("a b c\n1\n2\nz\n"))
    #expect(TutorialOutput("…\nz").matches("z"))
    #expect(TutorialOutput("…").matches(""))
    #expect(TutorialOutput("A: b\n\nc").matches("A: b\r\n\r\nc"))
    #expect(!TutorialOutput("a…a").matches("a"))
    #expect(!TutorialOutput("a\nb").matches("a"))
    #expect(!TutorialOutput("a").matches("a\nb"))
    #expect(!TutorialOutput("a\n…").matches("b\na"))
  }

  @Test("ports are replaced wherever they stand alone, and nothing else is")
  func ports() throws {
    let text = "listen = 127.0.0.1:8080, --port 8080, 18080, 8080ms and 0.8080"
    let replaced = try TutorialPorts(of: text).replaced(in: text)
    let port = try #require(replaced.split(separator: ",")[0].split(separator: ":").last)
    #expect(port != "8080")
    #expect(replaced == "listen = 127.0.0.1:\(port), --port \(port), 18080, 8080ms and 0.8080")
    #expect(try TutorialPorts(of: "8080").replaced(in: "8080") == "8080")
  }

  @Test("what a document leaves running is ended, also what has left its session")
  func leftovers() throws {
    var session: TutorialSession? = try TutorialSession()
    let result = try session?.run(
      "sleep 600 & echo $!; setsid sleep 600 & echo $!; (trap '' TERM; exec sleep 600) & echo $!",
      within: .seconds(10))
    let pids = try #require(result).output.split(separator: "\n").compactMap { pid_t($0) }
    #expect(pids.count == 3)
    try wait("both to sleep") { (session?.processes().filter(pids.contains).count ?? 0) == 3 }
    session = nil
    for pid in pids { #expect(kill(pid, 0) != 0 || isZombie(pid)) }
  }

  /// Nobody has reaped it: in a container without an init process nobody does.
  private func isZombie(_ pid: pid_t) -> Bool {
    let stat = FileManager.default.contents(atPath: "/proc/\(pid)/stat").map {
      String(decoding: $0, as: UTF8.self)
    }
    return stat?.contains(") Z ") ?? true
  }

  @Test("two follow one document at once")
  func twoAtOnce() throws {
    let text = """
      ```sh
      cd bulkhead; export PATH=$PWD/.build/release:$PATH
      bulkhead run > host.log 2>&1 &
      ```
      <!-- test: again -->
      ```sh
      curl -s http://127.0.0.1:8080/health/live
      ```
      ```console
      …live…
      ```
      """
    let problems = onThreads(2) { _ in
      do { try TutorialRun.follow(text, named: "it") } catch { return "\(error)" }
      return ""
    }
    #expect(problems == ["", ""])
  }
}
