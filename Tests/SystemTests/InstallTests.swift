import Foundation
import PluginTesting
import Testing

/// What `make install` lays down, in a place to which it was moved.
@Suite("Installation", .serialized)
struct InstallTests {
  private let root: String

  init() throws { root = try InstalledTree.root.get() }

  private var prefix: String { root + InstalledTree.prefix }
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
    try InstalledTree.install(to: directory.path, prefix: "/usr")
    #expect(try text(path) == "# mine\n")
    #expect(!FileManager.default.fileExists(atPath: stray))
  }

  @Test("installed once more under a host that runs from there, it meets no half of a library")
  func underARunningHost() throws {
    let directory = try TemporaryDirectory()
    let place = directory.path + "/usr"
    try InstalledTree.install(to: directory.path, prefix: "/usr")
    let tree = ReleaseBuild.Tree(
      binary: place + "/bin/bulkhead", pluginPath: place + "/lib/bulkhead",
      launcher: try InstalledTree.tree().launcher, forbidden: try InstalledTree.tree().forbidden)
    // The build is looked for where this task finds it: the host alone runs from the other tree.
    let host = try ReleaseBuild.$tree.withValue(tree) {
      try HostProcess(
        HostSettings(plugins: Section.plugin("cors", library: "CORSPlugin", ["origins = https://velro.ai"])))
    }
    let load = try SteadyLoad(
      on: host.endpoints[0], clients: 2,
      turns: [
        { connection in
          let answer = try connection.request("GET", "/health", headers: [("Origin", Origin.own)])
          usleep(2000)
          return answer.header("Access-Control-Allow-Origin") == Origin.own ? nil : "\(answer)"
        }
      ])
    for _ in 0..<3 { try InstalledTree.install(to: directory.path, prefix: "/usr") }
    host.process.send(signal: SIGHUP)
    try wait("the next generation") { try host.worker().generation > 1 }
    let (served, failures) = load.end()
    #expect(failures == [] && served > 10)
    let plugin = try host.plugin("cors")
    #expect(plugin["state"].string == "active" && plugin["rolled_back"] == .null, "\(plugin)")
    #expect(!host.log.contains("load-failed"), "\(host.log)")
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
