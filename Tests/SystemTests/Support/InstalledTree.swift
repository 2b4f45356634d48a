import Foundation
import PluginTesting
import Testing

/// What `make install` lays down, moved, with the fixtures beside the plugins: made once a run.
enum InstalledTree {
  /// The directory that stands for `/`, and what is installed below it.
  static let root: Result<String, any Error> = Result { try make() }
  static let prefix = "/opt/bulkhead"
  private static let fixtures = ["FaultPlugin", "PlainCPlugin"]

  /// To be driven with neither the toolchain nor the build in sight.
  static func tree() throws -> ReleaseBuild.Tree {
    let place = try root.get() + prefix
    let hidden = try hidden.get()
    return ReleaseBuild.Tree(
      binary: place + "/bin/bulkhead", pluginPath: place + "/lib/bulkhead",
      launcher: MountNamespace.launcher(hidden.map { ("size=4k", $0) }) ?? [], forbidden: hidden)
  }

  /// Runs `scripts/install` from the build.
  static func install(to destination: String, prefix: String) throws {
    let result = try ReleaseBuild.run(
      "\(ReleaseBuild.packageRoot)/scripts/install", [destination, prefix],
      environment: ["BULKHEAD_BUILD": ReleaseBuild.pluginPath], within: .seconds(300))
    guard result.status == .exited(0) else {
      throw HarnessError.system(call: "scripts/install", reason: result.errors)
    }
  }

  private static let directory: Result<String, any Error> = Result {
    var template = Array("/tmp/bulkhead-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else {
      throw HarnessError.system(call: "mkdtemp", reason: String(cString: strerror(errno)))
    }
    return String(cString: made)
  }

  private static func make() throws -> String {
    let place = try directory.get()
    // Nothing ends the value of a static; the tests end with exit(3).
    atexit { InstalledTree.remove() }
    try install(to: place + "/first", prefix: prefix)
    try FileManager.default.moveItem(atPath: place + "/first", toPath: place + "/moved")
    for name in fixtures {
      let library = "\(place)/moved\(prefix)/lib/bulkhead/lib\(name).so"
      try FileManager.default.copyItem(atPath: ReleaseBuild.library(name), toPath: library)
      let patched = try ReleaseBuild.run(
        "/usr/bin/env", ["patchelf", "--set-rpath", "$ORIGIN:$ORIGIN/swift", library])
      guard patched.status == .exited(0) else {
        throw HarnessError.system(call: "patchelf", reason: patched.errors)
      }
    }
    return place + "/moved"
  }

  private static func remove() {
    guard case .success(let directory) = directory else { return }
    try? FileManager.default.removeItem(atPath: directory)
  }

  /// Where the build's own libraries are, and those of the toolchain that it was linked with.
  private static let hidden: Result<[String], any Error> = Result {
    let linked = try ReleaseBuild.run("/usr/bin/env", ["ldd", ReleaseBuild.binary]).output
    let words = linked.split(separator: "\n").filter { $0.contains("libswiftCore.so =>") }
    guard let path = words.first?.split(separator: " ").dropFirst(2).first else {
      throw HarnessError.malformed("ldd \(ReleaseBuild.binary): \(linked)")
    }
    // As /proc/PID/maps has them: `.build/release` is a link.
    return [(String(path) as NSString).deletingLastPathComponent, ReleaseBuild.pluginPath].map {
      URL(fileURLWithPath: $0).resolvingSymlinksInPath().path
    }
  }
}

/// Runs each test of a suite twice: from the build tree, and from the installed one.
struct EveryTree: SuiteTrait, TestTrait, TestScoping {
  let isRecursive = true

  func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    try await function()
    // Made outside of its own scope: it is installed from the build.
    let tree = try InstalledTree.tree()
    let saying = IssueHandlingTrait.compactMapIssues { issue in
      var issue = issue
      issue.comments.insert("from the installed tree", at: 0)
      return issue
    }
    try await ReleaseBuild.$tree.withValue(tree) {
      try await saying.provideScope(for: test, testCase: testCase, performing: function)
    }
  }
}

extension Trait where Self == EveryTree {
  static var everyTree: Self { Self() }
}

extension ReleaseBuild {
  /// Whether the installed tree is driven now: for the counts of tests that repeat something often.
  static var isInstalled: Bool { !tree.forbidden.isEmpty }
}
