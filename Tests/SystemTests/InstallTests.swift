import Foundation
import PluginTesting
import Testing

/// What `make install` lays down, in a place from which it is moved.
@Suite("Installation", .serialized)
struct InstallTests {
  private let directory: TemporaryDirectory

  /// Installs, and moves what was installed.
  init() throws {
    directory = try TemporaryDirectory()
    let result = try ReleaseBuild.run(
      "\(ReleaseBuild.packageRoot)/scripts/install", ["\(directory.path)/first", "/opt/bulkhead"],
      environment: ["BULKHEAD_BUILD": ReleaseBuild.pluginPath], within: .seconds(300))
    try #require(result.status == .exited(0), "\(result)")
    try FileManager.default.moveItem(atPath: "\(directory.path)/first", toPath: root)
  }

  private var root: String { directory.path + "/moved" }
  private var prefix: String { root + "/opt/bulkhead" }
  private var binary: String { prefix + "/bin/bulkhead" }

  private func text(_ path: String) throws -> String {
    String(decoding: try #require(FileManager.default.contents(atPath: path), "\(path)"), as: UTF8.self)
  }

  @Test("everything is where its reader looks for it, and for everybody to read")
  func files() throws {
    for path in [
      "bin/bulkhead", "lib/bulkhead/libAuthPlugin.so", "lib/bulkhead/libCORSPlugin.so",
      "lib/bulkhead/libRateLimitPlugin.so", "lib/bulkhead/libDomainRoutes.so", "share/man/man8/bulkhead.8",
      "share/man/man5/plugins.conf.5", "share/bash-completion/completions/bulkhead",
      "share/zsh/site-functions/_bulkhead", "share/fish/vendor_completions.d/bulkhead.fish",
      "lib/systemd/system/bulkhead.service", "share/bulkhead/sdk/Package.swift",
      "share/bulkhead/sdk/Sources/PluginABI/include/bulkhead/plugin.h",
    ] {
      let attributes = try FileManager.default.attributesOfItem(atPath: "\(prefix)/\(path)")
      let mode = try #require(attributes[.posixPermissions] as? Int)
      #expect(mode & 0o444 == 0o444 && mode & 0o022 == 0, "\(path): \(String(mode, radix: 8))")
      #expect((attributes[.size] as? Int ?? 0) > 0)
    }
    #expect(
      try text("\(prefix)/share/bash-completion/completions/bulkhead").contains("complete -F _bulkhead"))
    let configuration = try text("\(root)/etc/bulkhead/plugins.conf")
    #expect(configuration.contains("\nplugin-path = /opt/bulkhead/lib/bulkhead\n"))
    #expect(configuration.contains("\nstate-dir = /var/lib/bulkhead\n"))
  }

  @Test("moved, and without a toolchain in sight, it loads its plugins")
  func moved() throws {
    let linked = try ReleaseBuild.run("/usr/bin/env", ["ldd", binary])
    #expect(linked.output.contains("\(prefix)/bin/../lib/bulkhead/swift/"), "\(linked.output)")
    #expect(!linked.output.contains("not found"))
    let directory = try TemporaryDirectory()
    let shipped = try text("\(root)/etc/bulkhead/plugins.conf")
      .replacingOccurrences(of: "/opt/bulkhead/", with: "\(prefix)/")
      .replacingOccurrences(of: "/var/lib/bulkhead", with: "\(directory.path)/state")
    let path = try directory.write("plugins.conf", shipped)
    let checked = try ReleaseBuild.run(binary, ["check", "--config", path])
    #expect(checked.status == .exited(0), "\(checked)")
    let cases = try ReleaseBuild.run(binary, ["test", "CORSPlugin", "--config", path])
    #expect(cases.status == .exited(0), "\(cases)")
    #expect(cases.output.hasSuffix(" 0 failed\n"))
  }

  @Test("installed once more, it keeps the configuration, and leaves nothing of an older SDK")
  func again() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/etc/bulkhead/plugins.conf"
    let stray = directory.path + "/usr/share/bulkhead/sdk/Sources/PluginAPI/Removed.swift"
    for (file, content) in [(path, "# mine\n"), (stray, "?")] {
      let parent = (file as NSString).deletingLastPathComponent
      try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
      #expect(FileManager.default.createFile(atPath: file, contents: Data(content.utf8)))
    }
    let result = try ReleaseBuild.run(
      "\(ReleaseBuild.packageRoot)/scripts/install", [directory.path, "/usr"],
      environment: ["BULKHEAD_BUILD": ReleaseBuild.pluginPath], within: .seconds(300))
    #expect(result.status == .exited(0), "\(result)")
    #expect(try text(path) == "# mine\n")
    #expect(!FileManager.default.fileExists(atPath: stray))
  }

  @Test("an installed bulkhead makes a plugin that builds on the installed SDK, and serves it")
  func newPlugin() throws {
    let directory = try TemporaryDirectory()
    let package = directory.path + "/rate-card"
    let made = try ReleaseBuild.run(binary, ["new", "plugin", "rate-card", "--directory", package])
    #expect(made.status == .exited(0), "\(made)")
    let manifest = try text(package + "/Package.swift")
    #expect(manifest.contains("\"\(prefix)/share/bulkhead/sdk\""), "\(manifest)")
    let tested = try ReleaseBuild.run(
      "/usr/bin/env", ["swift", "test", "--package-path", package, "--jobs", "2"],
      environment: ["BULKHEAD_BINARY": binary], within: .seconds(900))
    #expect(tested.status == .exited(0), "\(tested.output.suffix(3000))\(tested.errors.suffix(2000))")
    #expect(
      tested.output.contains("\"greets by name\" with 2 test cases passed"), "\(tested.output.suffix(2000))")
    let built = try ReleaseBuild.run(
      "/usr/bin/env",
      ["swift", "build", "-c", "release", "--package-path", package, "--product", "RateCardPlugin"],
      within: .seconds(900))
    #expect(built.status == .exited(0), "\(built.output.suffix(3000))\(built.errors.suffix(2000))")
    let library = package + "/.build/release/libRateCardPlugin.so"
    let cases = try ReleaseBuild.run(binary, ["test", library])
    #expect(cases.output.hasSuffix("3 passed, 0 failed\n"), "\(cases)")
    let path = try directory.write(
      "plugins.conf",
      HostSettings(plugins: "[plugin rate-card]\nlibrary = \(library)\nmount = /rate-card\n")
        .text(stateDirectory: directory.path + "/state"))
    let checked = try ReleaseBuild.run(binary, ["check", "--config", path])
    #expect(checked.status == .exited(0), "\(checked)")
  }

  @Test("the unit is sound, and exposes little, where systemd can judge it")
  func unit() throws {
    let unit = try text("\(prefix)/lib/systemd/system/bulkhead.service")
    #expect(!unit.contains("@PREFIX@"))
    #expect(unit.contains("ExecStart=/opt/bulkhead/bin/bulkhead run --config /etc/bulkhead/plugins.conf\n"))
    let tool = "/usr/bin/systemd-analyze"
    guard FileManager.default.isExecutableFile(atPath: tool) else { return }
    let directory = try TemporaryDirectory()
    let path = try directory.write(
      "bulkhead.service", unit.replacingOccurrences(of: "/opt/bulkhead/", with: "\(prefix)/"))
    let verified = try ReleaseBuild.run(tool, ["verify", "--man=no", path])
    #expect(verified.status == .exited(0), "\(verified)")
    #expect(!verified.errors.contains("bulkhead.service"), "\(verified)")
    // In tenths: 10.0 is a service that may do everything.
    let judged = try ReleaseBuild.run(tool, ["security", "--offline=true", "--threshold=20", path])
    #expect(judged.status == .exited(0), "\(judged.output.suffix(400))\(judged.errors)")
  }
}
