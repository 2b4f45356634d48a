import Foundation
import PluginTesting
import Testing

@testable import bulkhead

@Suite("The manual of plugins.conf")
struct ManualTests {
  /// The tags of a section, as far as they are keys.
  private func keys(in heading: String) throws -> [String] {
    let path = "\(ReleaseBuild.packageRoot)/man/plugins.conf.5"
    let text = String(decoding: try #require(FileManager.default.contents(atPath: path)), as: UTF8.self)
    var section = ""
    var isTag = false
    var keys: [String] = []
    for line in text.components(separatedBy: "\n") {
      if line.hasPrefix(".SH ") { section = String(line.dropFirst(4)) }
      if isTag, section == heading {
        let words = line.replacingOccurrences(of: "\\-", with: "-").split(separator: " ")
        keys.append(String(words[1]))
        #expect(words[2] == "\"" && words[3] == "=", "\(line)")
      }
      isTag = line == ".TP"
    }
    return keys
  }

  @Test("it has every key once, and none that there is not")
  func everyKey() throws {
    for (heading, known) in [
      ("THE HOST SECTION", HostSection.keys), ("THE CORS SECTION", CORSSection.keys),
      ("PLUGIN SECTIONS", PluginSection.keys),
    ] {
      #expect(try keys(in: heading).sorted() == known.all.sorted(), "\(heading)")
    }
  }

  @Test("where a key takes one of a few words, it has them all")
  func choices() throws {
    let path = "\(ReleaseBuild.packageRoot)/man/plugins.conf.5"
    let page = String(decoding: try #require(FileManager.default.contents(atPath: path)), as: UTF8.self)
      .replacingOccurrences(of: "\\-", with: "-")
    let choices: [(String, [String])] = [
      ("log-level", ["error", "warning", "info", "debug"]),
      ("log-format", LogFormat.allCases.map(\.rawValue)), ("applies-to", Scope.allCases.map(\.rawValue)),
      ("on-failure", FailurePolicy.allCases.map(\.rawValue)), ("mode", PluginMode.allCases.map(\.rawValue)),
      ("diagnostics", ["loopback", "token", "public", "off"]),
    ]
    for (key, values) in choices {
      let line = try #require(page.split(separator: "\n").first { $0.hasPrefix(".BI \(key) ") })
      let listed = line.components(separatedBy: "= ")[1].dropLast().components(separatedBy: " | ")
      #expect(Set(listed) == Set(values), "\(key)")
    }
  }
}
