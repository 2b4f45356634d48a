import Foundation
import PluginTesting
import Testing

@testable import bulkhead

/// Names and lines from the files of libraries, whole and spoilt.
@Suite("Names and lines of a library's file")
struct ImageFileTests {
  private func library(in directory: PluginTesting.TemporaryDirectory, _ flags: String...) throws -> String {
    let output = "\(directory.path)/lib.so"
    let source = "\(ReleaseBuild.packageRoot)/Tests/Fixtures/Crashes/crash.c"
    let include = "\(ReleaseBuild.packageRoot)/Sources/PluginABI/include"
    let result = try ReleaseBuild.run(
      "/usr/bin/env",
      ["cc", "-std=gnu11", "-O2", "-shared", "-fPIC", "-I", include, "-o", output, source] + flags)
    guard result.status == .exited(0) else { throw HarnessError.system(call: "cc", reason: result.errors) }
    return output
  }

  /// This is the line of the function's first instruction.
  private func address(of function: String, in file: ImageFile) throws -> UInt64 {
    let found = (UInt64(0)..<0x4000).first {
      guard let symbol = file.symbol(at: $0) else { return false }
      return symbol.name == function && symbol.start == $0
    }
    return try #require(found)
  }

  @Test(
    "a function's address has its name and line, in DWARF 4 and 5", arguments: ["-gdwarf-4", "-gdwarf-5"])
  func lines(flag: String) throws {
    let directory = try PluginTesting.TemporaryDirectory()
    let file = try #require(ImageFile(try library(in: directory, flag)))
    let address = try address(of: "give_up", in: file)
    let line = try #require(file.lines(of: [address])[address])
    #expect(line.file == "crash.c")
    let text = try String(
      contentsOfFile: "\(ReleaseBuild.packageRoot)/Tests/Fixtures/Crashes/crash.c", encoding: .utf8)
    let declared = text.split(separator: "\n", omittingEmptySubsequences: false)
      .firstIndex { $0.contains("give_up(void)") }
    #expect(line.number == declared.map { UInt64($0 + 1) })
  }

  @Test("without line tables there are names alone")
  func noLines() throws {
    let directory = try PluginTesting.TemporaryDirectory()
    let file = try #require(ImageFile(try library(in: directory, "-g0")))
    let address = try address(of: "give_up", in: file)
    #expect(file.lines(of: [address]).isEmpty)
  }

  @Test("a file that is cut off or spoilt anywhere is read within its bounds")
  func spoilt() throws {
    let directory = try PluginTesting.TemporaryDirectory()
    let whole = [UInt8](try Data(contentsOf: URL(fileURLWithPath: try library(in: directory, "-g"))))
    let seed = UInt64.random(in: 0...UInt64.max)
    var state = seed
    func next(_ limit: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % limit
    }
    for round in 0..<300 {
      var bytes = whole
      if round % 2 == 0 { bytes.removeLast(next(bytes.count)) }
      for _ in 0..<next(64) where !bytes.isEmpty { bytes[next(bytes.count)] = UInt8(next(256)) }
      let path = "\(directory.path)/spoilt.so"
      try Data(bytes).write(to: URL(fileURLWithPath: path))
      guard let file = ImageFile(path) else { continue }
      let addresses: [UInt64] = [0, 0x1000, 0x1160, 0x1200, UInt64(next(1 << 20)), .max]
      let lines = file.lines(of: addresses)
      #expect(lines.count <= addresses.count, "seed \(seed), round \(round)")
      for address in addresses {
        _ = file.symbol(at: address)
        _ = file.address(ofOffset: address)
      }
    }
  }

  @Test("C++ and older Rust names stand as in the source")
  func names() {
    #expect(Backtrace.demangled("_ZN6cellar4Pump4failEi") == "cellar::Pump::fail(int)")
    #expect(Backtrace.demangled("_ZN5crash7request17h0123456789abcdefE") == "crash::request")
    #expect(Backtrace.demangled("plain_c") == "plain_c")
  }

  @Test("output is cut into lines, and last words are given once")
  func output() {
    var lines: [String] = []
    var splitter = LineSplitter(limit: 8)
    splitter.add(Array("one\n\ntwo\r\nlong enough".utf8)[...]) {
      lines.append(String(decoding: $0, as: UTF8.self))
    }
    splitter.flush { lines.append(String(decoding: $0, as: UTF8.self)) }
    #expect(lines == ["one", "two", "long eno", "ugh"])
    var words = LastWords()
    words.add(Array("too long ago\n".utf8)[...], at: 0)
    words.add(Array("\u{1b}[1mthe end\n".utf8)[...], at: 5_000_000_000)
    #expect(words.take(at: 5_500_000_000) == "?[1mthe end")
    #expect(words.take(at: 5_500_000_000) == nil)
  }

  @Test("a line of output is a line of the log that a pipe takes as a whole, whatever is in it")
  func pieces() {
    for text in ["short", "", String(repeating: "\u{1}", count: 8192), String(repeating: "é\"", count: 4000)]
    {
      let pieces = WorkerOutput.messages(of: text)
      #expect(pieces.joined() == text)
      for piece in pieces {
        let fields = [("plugin", String(repeating: "p", count: 64)), ("generation", "4096")]
        let id = String(repeating: "i", count: FaultFrame.maxRequestID)
        let line = Log.line(
          Clock.rfc3339(0), .warning, piece, request: nil, fields: fields + [("request_id", id)],
          format: .json)
        #expect(line.count <= 4096)
      }
    }
  }

  @Test("what was said before a long call belongs to its fault")
  func longCall() {
    var words = LastWords()
    words.add(Array("before\n".utf8)[...], at: 1_000_000_000)
    #expect(words.take(at: 5_000_000_000, since: 4_500_000_000) == "before")
  }
}
