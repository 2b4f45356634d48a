import Foundation
import PluginTesting
import Testing

/// The pages of the manual, against what the binary says of itself.
@Suite("The manual")
struct ManualTests {
  private let folder = "\(ReleaseBuild.packageRoot)/man"

  private func page(_ name: String) throws -> [String] {
    let text = try #require(FileManager.default.contents(atPath: "\(folder)/\(name)"))
    return String(decoding: text, as: UTF8.self).components(separatedBy: "\n")
  }

  /// Words of roff without their markup.
  private func plain(_ line: String) -> String {
    var text = line
    for (markup, meant) in [("\\-", "-"), ("\\fI", ""), ("\\fB", ""), ("\\fR", ""), ("\"", ""), ("...", "…")]
    {
      text = text.replacingOccurrences(of: markup, with: meant)
    }
    return text
  }

  /// What each command takes, by its `--help`: the argument's words, and the options.
  private func commands() throws -> [String: (usage: String, options: Set<String>)] {
    var found: [String: (String, Set<String>)] = [:]
    for line in try ReleaseBuild.run(["--help"]).output.split(separator: "\n") where line.hasPrefix("  ") {
      let usage = line.dropFirst(2).components(separatedBy: "  ")[0]
      let name = String(usage.prefix { $0 != " " })
      let help = try ReleaseBuild.run([name, "--help"]).output
      let options = help.split(separator: "\n").filter { $0.hasPrefix("  -") }
      found[name] = (usage, Set(options.map { String($0.dropFirst(2).prefix { $0 != " " }) }))
    }
    return found
  }

  @Test("bulkhead(8) has every command and option, and none that there is not")
  func commandsAndOptions() throws {
    var inPage: [String: (usage: String, options: Set<String>)] = [:]
    var section = ""
    var command = ""
    var isTag = false
    for line in try page("bulkhead.8") {
      if line.hasPrefix(".SH ") { section = String(line.dropFirst(4)) }
      guard section == "COMMANDS" else { continue }
      if line.hasPrefix(".SS ") {
        let usage = plain(String(line.dropFirst(4)))
        command = String(usage.prefix { $0 != " " })
        inPage[command] = (usage, [])
      } else if isTag {
        let words = plain(line).split(separator: " ")
        inPage[command]?.options.insert(String(try #require(words.dropFirst().first)))
      }
      isTag = line == ".TP"
    }
    let known = try commands()
    #expect(known.count > 10)
    #expect(Set(inPage.keys) == Set(known.keys))
    for (name, command) in known {
      #expect(inPage[name]?.usage == command.usage)
      #expect(inPage[name]?.options == command.options, "\(name)")
    }
  }

  @Test("the pages are sound roff", arguments: ["bulkhead.8", "plugins.conf.5"])
  func sound(name: String) throws {
    let path = "\(folder)/\(name)"
    var judges = 0
    // Whichever there is: neither is needed for anything else.
    for (tool, arguments) in [
      ("/usr/bin/groff", ["-man", "-ww", "-Tutf8", "-z", path]),
      ("/usr/bin/mandoc", ["-Tlint", "-W", "warning", path]),
    ] where FileManager.default.isExecutableFile(atPath: tool) {
      judges += 1
      let result = try ReleaseBuild.run(tool, arguments)
      #expect(result.status == .exited(0), "\(tool): \(result)")
      #expect((result.output + result.errors).isEmpty, "\(tool): \(result)")
    }
    // Without either: at least no control line that is none of ours.
    let macros: Set = [
      ".TH", ".SH", ".SS", ".TP", ".PP", ".B", ".I", ".BR", ".RB", ".BI", ".IR", ".RI", ".RS", ".RE", ".nf",
      ".fi",
    ]
    for line in try page(name) where line.hasPrefix(".") && !line.hasPrefix(".\\\"") {
      #expect(macros.contains(String(line.prefix { $0 != " " })), "\(judges): \(line)")
    }
  }
}
