import Foundation
import PluginTesting
import Testing

/// What a record says of a crash or a hang: function, file and line of the plugin's own code, and what it said last. The
/// libraries (Tests/Fixtures/Crashes) are compiled with -O2 -g, and keep no frame pointers.
@Suite("A record says why")
struct RecordTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var file: String
    var deed: String
    var function: String
    /// What marks the line in the source; nil if the innermost known frame has another file.
    var mark: String?
    var words: String?

    var testDescription: String { "\(file) \(deed)" }
  }

  @Test(
    "a crash names the plugin's function, file and line, and has its last words",
    arguments: [
      Case(file: "crash.c", deed: "null", function: "read_null", mark: "null"),
      Case(file: "crash.c", deed: "jump", function: "jump_to_null", mark: "jump"),
      Case(
        file: "crash.c", deed: "abort", function: "give_up", mark: "abort", words: "the cellar is flooded"),
      Case(file: "crash.c", deed: "double", function: "free_twice", mark: "double", words: "double free"),
      Case(
        file: "crash.cpp", deed: "throw", function: "cellar::Pump::fail", mark: "throw",
        words: "the pump has failed: no power"),
      Case(file: "crash.c", deed: "print", function: "print_and_give_up", words: "the cellar is printed"),
      Case(file: "crash.c", deed: "dig", function: "dig", mark: "dig"),
      Case(file: "crash.c", deed: "overwrite", function: "overwrite_stack", mark: "overwrite"),
      Case(
        file: "crash.swift", deed: "fatal", function: "openSluice", mark: "fatal",
        words: "the sluice is rusted shut"),
      Case(file: "crash.rs", deed: "panic", function: "open_valve", mark: "panic", words: "out of bounds"),
    ])
  func crash(_ entry: Case) throws {
    guard let host = try CrashHost(entry.file) else { return }
    let record = try host.record(after: entry.deed)
    let frames = record["backtrace"].array.compactMap(\.string)
    #expect(record["reason"].string == "crashed", "\(record)")
    let frame = try #require(frames.first { $0.contains(entry.function) }, "\(frames)")
    if let mark = entry.mark {
      let line = try #require(CrashHost.line(of: mark, in: entry.file))
      // A call that does not return is at its own line or the next, as the compiler has it.
      #expect(frame.contains("(\(entry.file):\(line))"), "\(frames)")
    }
    if let words = entry.words {
      #expect(record["last_words"].string?.contains(words) == true, "\(record)")
      #expect(host.host.log.contains(words))
    }
  }

  @Test("a hang names the function that waits")
  func hang() throws {
    let host = try #require(try CrashHost("crash.c", "timeout = 300ms"))
    let record = try host.record(after: "hang")
    let frames = record["backtrace"].array.compactMap(\.string)
    #expect(record["reason"].string == "hung")
    #expect(frames.contains { $0.contains("wait_for_ever") && $0.contains("(crash.c:") }, "\(frames)")
  }

  @Test("a hang has what was said before it, though that was long before it was given up")
  func hangingWords() throws {
    let host = try #require(try CrashHost("crash.c", "timeout = 3s"))
    let record = try host.record(after: "wait")
    #expect(record["reason"].string == "hung")
    #expect(record["last_words"].string?.contains("waiting for the key") == true, "\(record)")
  }

  @Test("a crash with the loader's lock held is answered, and has a backtrace")
  func loader() throws {
    let directory = try TemporaryDirectory()
    let cellar = "\(directory.path)/cellar.so"
    try CrashHost.compile("crash.c", to: cellar, ["-DAT_LOAD"])
    let host = try #require(try CrashHost("crash.c", environment: ["CELLAR": cellar]))
    let answer = try host.host.get("/fault/open")
    #expect(answer.status == 503)
    let record = try host.record(after: nil)
    let frames = record["backtrace"].array.compactMap(\.string)
    #expect(record["signal"].string == "SIGABRT", "\(record)")
    #expect(frames.contains { $0.contains("begin_badly") && $0.contains("(crash.c:") }, "\(frames)")
    #expect(frames.contains { $0.contains("open_cellar") }, "\(frames)")
    #expect(!host.host.log.contains("a loop is stuck"))
  }

  @Test("a crash in a constructor names the constructor, the signal and the last words, once")
  func constructor() throws {
    let host = try #require(try CrashHost("crash.c", defining: "AT_LOAD"))
    let records = try host.records()
    #expect(records.count == 1, "\(records)")
    let record = records.first ?? .null
    let frames = record["backtrace"].array.compactMap(\.string)
    #expect(record["signal"].string == "SIGABRT", "\(record)")
    #expect(frames.contains { $0.contains("begin_badly") && $0.contains("(crash.c:") }, "\(frames)")
    #expect(record["last_words"].string?.contains("the cellar is flooded") == true, "\(record)")
  }

  @Test("while a plugin writes rubbish, each line of a JSON log is JSON")
  func rubbish() throws {
    let host = try #require(try CrashHost("crash.c", host: "log-format = json"))
    _ = try host.host.get("/fault/rubbish")
    try wait("the lines") { host.host.log.contains("more") }
    for line in host.host.log.split(separator: "\n") {
      #expect(throws: Never.self, "\(line)") { try JSONValue(parsing: String(line).utf8) }
    }
    #expect(host.host.log.contains("\"plugin\":\"crash\"") || host.host.log.contains("\"generation\""))
  }
}

/// A host with one of these plugins.
private struct CrashHost {
  let host: HostProcess

  /// Nil where there is no compiler for it.
  init?(
    _ file: String, _ section: String..., host lines: String = "", defining macro: String? = nil,
    environment: [String: String] = [:]
  ) throws {
    let directory = try TemporaryDirectory()
    let library = "\(directory.path)/libcrash.so"
    let flags = macro.map { ["-D\($0)"] } ?? []
    guard try CrashHost.compile(file, to: library, flags) else { return nil }
    host = try HostProcess(
      HostSettings(
        host: lines,
        plugins: Section.plugin(
          "crash", library: library, ["paths = /fault", "applies-to = all", "recover = never"] + section)
          + Section.fault("other", mount: "/fault", "paths = /other")),
      in: directory,
      // Rust's own backtrace takes longer than the plugin's timeout on a busy machine.
      environment: environment.merging(["RUST_BACKTRACE": "0"]) { $1 })
  }

  /// False where there is no compiler for it.
  @discardableResult
  static func compile(_ file: String, to library: String, _ flags: [String]) throws -> Bool {
    let root = ReleaseBuild.packageRoot
    let source = "\(root)/Tests/Fixtures/Crashes/\(file)"
    let include = "\(root)/Sources/PluginABI/include"
    let flags = ["-g", "-I", include, "-o", library, source] + flags
    let command: [String]
    switch source.split(separator: ".").last {
    case "c": command = ["cc", "-std=gnu11", "-O2", "-shared", "-fPIC"] + flags
    case "cpp": command = ["c++", "-O2", "-shared", "-fPIC"] + flags
    case "swift":
      command = ["swiftc", "-O", "-parse-as-library", "-emit-library", "-module-name", "crash"] + flags
    default:
      command = ["rustc", "-O", "-g", "-C", "panic=abort", "--crate-type", "cdylib", "-o", library, source]
    }
    let built = try ReleaseBuild.run("/usr/bin/env", command)
    if built.status == .exited(127), command[0] != "cc" { return false }
    guard built.status == .exited(0) else {
      throw HarnessError.system(call: command.joined(separator: " "), reason: built.errors)
    }
    return true
  }

  func records() throws -> [JSONValue] {
    try JSONValue(parsing: host.command("faults", "--json").output.utf8)["faults"].array
      .filter { $0["plugin"].string == "crash" }
  }

  func record(after deed: String?) throws -> JSONValue {
    if let deed { ask(deed) }
    var found: [JSONValue] = []
    try wait("the record", within: .seconds(20)) {
      found = try records()
      return !found.isEmpty
    }
    return found.first ?? .null
  }

  private func ask(_ deed: String) {
    _ = try? host.get("/fault/\(deed)")  // lint: allow, the worker may be replaced meanwhile
  }

  /// The number of the line that the comment `line: MARK` stands on.
  static func line(of mark: String, in file: String) -> Int? {
    let path = "\(ReleaseBuild.packageRoot)/Tests/Fixtures/Crashes/\(file)"
    let text = String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
    return text.split(separator: "\n", omittingEmptySubsequences: false)
      .firstIndex { $0.contains("line: \(mark)") }.map { $0 + 1 }
  }
}
