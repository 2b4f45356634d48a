import Foundation
import PluginTesting

/// A host with the router of Tests/Fixtures/Upload, whose handlers read bodies as they arrive, under `/u`.
struct UploadHost {
  let host: HostProcess
  let directory: TemporaryDirectory

  /// - Parameters:
  ///   - lines: further ones of `[host]`.
  ///   - plugin: further ones of the plugin's section.
  ///   - sections: of other plugins.
  init(
    _ lines: String = "", plugin: [String] = [], sections: String = "", listen: [String] = ["127.0.0.1:0"],
    defining macros: [String] = []
  ) throws {
    let directory = try TemporaryDirectory()
    let library = try UploadHost.compile(in: directory, defining: macros)
    self.directory = directory
    host = try HostProcess(
      HostSettings(
        listen: listen.map { $0.replacing("DIRECTORY", with: directory.path) }, host: lines,
        plugins: UploadHost.section(library, plugin) + sections))
  }

  static func section(_ library: String, _ lines: [String] = []) -> String {
    Section.plugin("upload", library: library, ["mount = /u", "recover = never"] + lines)
  }

  var library: String { "\(directory.path)/libUpload.so" }

  static func compile(in directory: TemporaryDirectory, defining macros: [String] = []) throws -> String {
    let root = ReleaseBuild.packageRoot
    let output = "\(directory.path)/libUpload.so"
    let result = try ReleaseBuild.run(
      "/usr/bin/env",
      [
        "cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-I",
        "\(root)/Sources/PluginABI/include", "-o", output, "\(root)/Tests/Fixtures/Upload/upload.c",
      ] + macros.map { "-D\($0)" })
    guard result.status == .exited(0) else {
      throw HarnessError.system(call: "cc upload.c", reason: result.errors)
    }
    return output
  }

  // MARK: Bodies

  private static let period = 65521
  private static let pattern: [UInt8] = {
    let once = (0..<period).map { UInt8(truncatingIfNeeded: $0 * 131 + ($0 >> 7)) }
    return Array(repeatElement(once, count: 20).joined())
  }()

  /// The bytes of a body from an offset on; at most a mebibyte.
  static func bytes(from offset: Int, count: Int) -> [UInt8] {
    let start = offset % period
    return Array(pattern[start..<(start + count)])
  }

  static func bytes(_ count: Int) -> [UInt8] { bytes(from: 0, count: count) }

  static func chunk(_ bytes: [UInt8], extensions: String = "") -> [UInt8] {
    Array("\(String(bytes.count, radix: 16))\(extensions)\r\n".utf8) + bytes + Array("\r\n".utf8)
  }

  /// A request's head.
  static func head(_ path: String, length: Int?, _ fields: (String, String)..., version: String = "1.1")
    -> String
  {
    let framing = length.map { "Content-Length: \($0)" } ?? "Transfer-Encoding: chunked"
    let lines = fields.map { "\($0.0): \($0.1)\r\n" }.joined()
    return "POST \(path) HTTP/\(version)\r\nHost: test\r\n\(lines)\(framing)\r\n\r\n"
  }

  // MARK: What happens inside

  /// A file that does not exist: for X-Gate and X-Report.
  func path(_ name: String) -> String { "\(directory.path)/\(name)" }

  func open(gate name: String) throws { try directory.write(name, "") }

  /// What a handler has reported, once it has.
  func report(_ name: String) throws -> JSONValue {
    var found = JSONValue.null
    try wait("the report \(name)") {
      guard let data = FileManager.default.contents(atPath: path(name)) else { return false }
      found = try JSONValue(parsing: Array(data))
      return true
    }
    return found
  }

  /// The plugin is in service, and nothing was held against it.
  func isUnharmed() throws -> Bool {
    let plugin = try host.plugin("upload")
    return plugin["state"].string == "active" && plugin["faults"].int == 0
  }

  /// Kilobytes that the worker has in memory, and has had at most.
  func memory() throws -> (now: Int, most: Int) {
    let status = try String(contentsOfFile: "/proc/\(try host.worker().pid)/status", encoding: .utf8)
    func value(_ name: String) -> Int {
      let line = status.split(separator: "\n").first { $0.hasPrefix(name) } ?? ""
      return Int(line.filter(\.isNumber)) ?? 0
    }
    return (value("VmRSS"), value("VmHWM"))
  }
}
