import Foundation
import PluginTesting
import Testing

@testable import bulkhead

/// Real libraries, compiled here, of which copies in another directory are mapped.
@Suite("Loading copies of libraries")
struct LibraryLoaderTests {
  private let directory: PluginTesting.TemporaryDirectory

  init() throws { directory = try PluginTesting.TemporaryDirectory() }

  /// Compiles `lib/libNAME.so` with a function `NAME` that adds one to those of what it needs.
  ///
  /// Each test's libraries have names of their own: what this process has loaded once it finds again.
  private func compile(_ name: String, needs: [String] = [], _ flags: [String]) throws {
    let calls = needs.map { " + \($0)()" }.joined()
    let declarations = needs.map { "int \($0)(void);" }.joined(separator: "\n")
    let source = try directory.write(
      "\(name).c", "\(declarations)\nint \(name)(void);\nint \(name)(void) { return 1\(calls); }\n")
    let output = path(name)
    try FileManager.default.createDirectory(
      atPath: (output as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
    let result = try ReleaseBuild.run(
      "/usr/bin/env", ["cc", "-shared", "-fPIC", "-o", output, source, "-L\(directory.path)/lib"] + flags)
    try #require(result.status == .exited(0), "\(result)")
  }

  private func path(_ name: String) -> String { "\(directory.path)/lib/lib\(name).so" }

  /// Maps a copy of the library and calls the function that it is named after.
  private func callInCopy(of name: String) throws -> Int32 {
    let copy = try directory.copy(path(name), as: "copies/\(name).copy")
    return try call(name, in: try LibraryLoader.map(copy, of: path(name)))
  }

  private func call(_ name: String, in image: UnsafeMutableRawPointer) throws -> Int32 {
    let symbol = try #require(dlsym(image, name))
    return unsafeBitCast(symbol, to: (@convention(c) () -> Int32).self)()
  }

  @Test(
    "what lies beside the original is found for its copy, by RUNPATH and RPATH, with and without a SONAME",
    arguments: ["--enable-new-dtags", "--disable-new-dtags"], [true, false])
  func beside(tags: String, hasName: Bool) throws {
    let key = "\(tags.hasPrefix("--en") ? "run" : "r")_\(hasName ? "named" : "plain")"
    try compile("helper_\(key)", hasName ? ["-Wl,-soname,libhelper_\(key).so.1"] : [])
    if hasName {
      try FileManager.default.createSymbolicLink(
        atPath: path("helper_\(key)") + ".1", withDestinationPath: path("helper_\(key)"))
    }
    try compile(
      "user_\(key)", needs: ["helper_\(key)"], ["-lhelper_\(key)", "-Wl,\(tags),-rpath,$ORIGIN"])
    #expect(try callInCopy(of: "user_\(key)") == 2)
  }

  @Test("what a needed library needs itself is found from where that one lies")
  func transitive() throws {
    let far = directory.path + "/lib/far"
    try FileManager.default.createDirectory(atPath: far, withIntermediateDirectories: true)
    try compile("far_base", [])
    try compile("far_middle", needs: ["far_base"], ["-lfar_base", "-Wl,-rpath,$ORIGIN"])
    try compile(
      "near_top", needs: ["far_middle"],
      ["-lfar_middle", "-Wl,-rpath,$ORIGIN/far", "-Wl,-rpath-link,\(directory.path)/lib"])
    for name in ["far_base", "far_middle"] {
      try FileManager.default.moveItem(atPath: path(name), toPath: "\(far)/lib\(name).so")
    }
    #expect(try callInCopy(of: "near_top") == 3)
  }

  @Test("an RPATH holds for the libraries of its libraries too")
  func inherited() throws {
    try compile("deep_base", [])
    try compile("deep_middle", needs: ["deep_base"], ["-ldeep_base"])
    try compile(
      "deep_top", needs: ["deep_middle"],
      [
        "-ldeep_middle", "-Wl,--disable-new-dtags,-rpath,${ORIGIN}/../lib",
        "-Wl,-rpath-link,\(directory.path)/lib",
      ])
    #expect(try callInCopy(of: "deep_top") == 3)
  }

  @Test("a library that is missing is named, and so is the original that needs it")
  func missing() throws {
    try compile("absent_base", [])
    try compile("absent_top", needs: ["absent_base"], ["-labsent_base", "-Wl,-rpath,$ORIGIN"])
    #expect(unlink(path("absent_base")) == 0)
    let failure = #expect(throws: PluginFailure.self) { try callInCopy(of: "absent_top") }
    #expect(failure?.reason == .loadFailed)
    let message = failure?.message ?? ""
    #expect(message.hasPrefix("\(path("absent_top")): libabsent_base.so: cannot open"), "\(message)")
  }

  @Test("a symbol that is nowhere is told of with the original's path, never the copy's")
  func undefinedSymbol() throws {
    try compile("open_end", needs: ["nowhere_to_be_found"], [])
    let failure = #expect(throws: PluginFailure.self) { try callInCopy(of: "open_end") }
    let message = failure?.message ?? ""
    #expect(message.hasPrefix(path("open_end")) && message.contains("nowhere_to_be_found"), "\(message)")
    #expect(!message.contains("copies/"))
  }

  @Test("a half-copied library is refused before the loader touches what is not there")
  func halfCopied() throws {
    try compile("halved", [])
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path("halved"))))
    let copy = try directory.write("copies/halved.copy", Array(bytes.prefix(bytes.count / 2)))
    let failure = #expect(throws: PluginFailure.self) { try LibraryLoader.map(copy, of: path("halved")) }
    let message = failure?.message ?? ""
    #expect(
      message.hasPrefix("\(path("halved")) is cut short: it has \(bytes.count / 2) bytes"), "\(message)")
  }

  @Test("without a copy, one in memory is mapped: each library its own, and none changes with its file")
  func ownCopies() throws {
    for name in ["first_own", "second_own"] { try compile(name, ["-Wl,-rpath,$ORIGIN", "-lm"]) }
    let images = try ["first_own", "second_own"].map { try LibraryLoader.map(nil, of: path($0)) }
    for name in ["first_own", "second_own"] { #expect(truncate(path(name), 0) == 0) }
    #expect(images[0] != images[1])
    #expect(try call("first_own", in: images[0]) == 1 && call("second_own", in: images[1]) == 1)
    let files = RunningProcess.mappedFiles(getpid())
    #expect(files.contains { $0.hasPrefix("/memfd:libfirst_own.so") } && !files.contains(path("first_own")))
  }
}
