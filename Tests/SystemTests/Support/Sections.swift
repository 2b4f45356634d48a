import Foundation
import PluginTesting

/// `[plugin …]` sections that the tests share.
enum Section {
  /// The plugin that dies on request: a router under `mount`, and a middleware within `scope`.
  static func fault(_ name: String = "fault", mount: String = "/fault", _ lines: String...) -> String {
    plugin(name, library: "FaultPlugin", ["mount = \(mount)"] + lines)
  }

  /// A plugin by its library.
  static func plugin(_ name: String, library: String, _ lines: [String]) -> String {
    (["[plugin \(name)]", "library = \(library)"] + lines).joined(separator: "\n") + "\n\n"
  }
}

/// An origin of the shop's front end, and one of somebody else.
enum Origin {
  static let own = "https://velro.ai"
  static let foreign = "https://velro.ai.example.net"
}

/// The broken plugins of Tests/Fixtures/Broken, compiled with the system's C compiler.
enum BrokenPlugin {
  /// A shipped plugin that breaks as soon as the file `sabotage` in `directory` says how.
  static func sabotaged(_ library: String, in directory: TemporaryDirectory) throws -> String {
    try compile(
      "sabotaged", in: directory,
      defining: [
        "REAL=\"\(ReleaseBuild.library(library))\"", "SABOTAGE=\"\(directory.path)/sabotage\"",
      ])
  }

  /// Compiles one of them into `directory`, linked against the libraries `links` that stand there.
  ///
  /// - Returns: the library's path.
  static func compile(
    _ name: String, in directory: TemporaryDirectory, links: [String] = [], defining macros: [String] = []
  ) throws -> String {
    let root = ReleaseBuild.packageRoot
    let output = "\(directory.path)/lib\(name).so"
    let result = try ReleaseBuild.run(
      "/usr/bin/env",
      [
        "cc", "-std=c11", "-shared", "-fPIC", "-I", "\(root)/Sources/PluginABI/include", "-o", output,
        "\(root)/Tests/Fixtures/Broken/\(name).c", "-L", directory.path,
      ] + links.map { "-l\($0)" } + macros.map { "-D\($0)" })
    guard result.status == .exited(0) else {
      throw HarnessError.system(call: "cc \(name).c", reason: result.errors)
    }
    return output
  }
}

/// The shipped `plugins.conf`, with addresses and directories of the test's own.
enum ShippedConfiguration {
  static let text: String = {
    let path = "\(ReleaseBuild.packageRoot)/plugins.conf"
    return String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
  }()

  /// - Parameter edit: changes the text further, as an operator would.
  static func start(
    edit: (String) -> String = { $0 }, environment: [String: String] = [:]
  ) throws -> HostProcess {
    let directory = try TemporaryDirectory()
    return try HostProcess(
      configuration: edit(adapted(to: directory)), listeners: 1, in: directory, environment: environment)
  }

  /// The text with the three keys that name places changed.
  static func adapted(to directory: TemporaryDirectory) -> String {
    let places = [
      "listen": "127.0.0.1:0", "plugin-path": ReleaseBuild.pluginPath, "state-dir": "\(directory.path)/state",
    ]
    return text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
      let key = line.prefix { $0 != " " }
      return places[String(key)].map { "\(key) = \($0)" } ?? String(line)
    }.joined(separator: "\n")
  }
}
