import Foundation
import PluginTesting
import Testing

/// The completion scripts, run by the shells that they are for.
@Suite("Completion in the shell")
struct CompletionTests {
  /// A directory with a plugins.conf, and the program on the path.
  private func directory() throws -> TemporaryDirectory {
    let directory = try TemporaryDirectory()
    try directory.write(
      "plugins.conf", "[plugin auth]\n[plugin rate-limit]\n[plugin \"cors\"]\n# [plugin no]\n")
    try directory.write("other.txt", "")
    return directory
  }

  private func path() -> [String: String] {
    let inherited = ReleaseBuild.cleanEnvironment["PATH"] ?? "/usr/bin:/bin"
    return ["PATH": "\(ReleaseBuild.pluginPath):\(inherited)"]
  }

  /// What bash offers for the last of these words.
  private func bash(_ words: [String]) throws -> Set<String> {
    let directory = try directory()
    let script = try ReleaseBuild.run(["completions", "bash"])
    #expect(script.status == .exited(0))
    try directory.write("completion", script.output)
    let driver = """
      cd "$1"; shift
      source ./completion
      COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
      function=$(complete -p bulkhead | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
      $function
      printf '%s\\n' "${COMPREPLY[@]}"
      """
    let result = try ReleaseBuild.run(
      "/bin/bash", ["--norc", "-c", driver, "bash", directory.path] + words, environment: path())
    #expect(result.status == .exited(0), "\(result)")
    #expect(result.errors.isEmpty, "\(result.errors)")
    return Set(result.output.split(separator: "\n").map(String.init))
  }

  @Test(
    "bash offers commands, options, choices, files, plugins",
    arguments: [
      ("bulkhead st", ["status", "stop"]), ("bulkhead bypass ", ["all", "heavy", "off"]),
      ("bulkhead log-level d", ["debug"]),
      ("bulkhead status --", ["--config", "--state-dir", "--json", "--watch", "--help"]),
      ("bulkhead status --config pl", ["plugins.conf"]), ("bulkhead status --config = pl", ["plugins.conf"]),
      ("bulkhead check --json --config o", ["other.txt"]),
      ("bulkhead quarantine ", ["auth", "rate-limit", "cors"]), ("bulkhead release r", ["rate-limit"]),
      ("bulkhead quarantine --config plugins.conf a", ["auth"]),
      ("bulkhead quarantine --config = plugins.conf a", ["auth"]), ("bulkhead new ", ["plugin"]),
      ("bulkhead new plugin ", []), ("bulkhead new plugin x --language ", ["swift", "c"]),
      ("bulkhead test plug", ["plugins.conf"]), ("bulkhead test lib.so oth", ["other.txt"]),
      ("bulkhead help vers", ["version"]), ("bulkhead completions ", ["bash", "zsh", "fish"]),
      ("bulkhead worker ", []), ("bulkhead run", ["run"]),
    ])
  func bash(line: String, offers: [String]) throws {
    #expect(try bash(line.components(separatedBy: " ")) == Set(offers))
  }

  @Test("bash offers every command of --help, and each one's options")
  func everything() throws {
    let overview = try ReleaseBuild.run(["--help"]).output.split(separator: "\n")
    let names = overview.filter { $0.hasPrefix("  ") }.map { String($0.dropFirst(2).prefix { $0 != " " }) }
    #expect(names.count > 10)
    #expect(try bash(["bulkhead", ""]) == Set(names + ["--help", "--version"]))
    for name in names {
      let help = try ReleaseBuild.run([name, "--help"]).output.split(separator: "\n")
      let options = help.filter { $0.hasPrefix("  -") }.map { String($0.dropFirst(2).prefix { $0 != " " }) }
      #expect(try bash(["bulkhead", name, "-"]) == Set(options + ["--help"]), "\(name)")
    }
  }

  @Test("fish offers the same, where there is fish")
  func fish() throws {
    guard FileManager.default.isExecutableFile(atPath: "/usr/bin/fish") else { return }
    let directory = try directory()
    try directory.write("completion", try ReleaseBuild.run(["completions", "fish"]).output)
    for (line, offers) in [
      ("bulkhead st", ["status", "stop"]), ("bulkhead bypass ", ["all", "heavy", "off"]),
      ("bulkhead quarantine r", ["rate-limit"]), ("bulkhead new plugin x --language s", ["swift"]),
      ("bulkhead status --w", ["--watch"]), ("bulkhead status --config pl", ["plugins.conf"]),
    ] {
      let result = try ReleaseBuild.run(
        "/usr/bin/fish",
        ["--no-config", "-c", "cd \(directory.path); source completion; complete -C'\(line)'"],
        environment: path().merging(["HOME": directory.path]) { $1 })
      let words = result.output.split(separator: "\n").map { String($0.prefix { $0 != "\t" }) }
      #expect(Set(words) == Set(offers), "\(line): \(result)")
    }
  }

  @Test("each script is sound, where there is its shell", arguments: ["bash", "zsh", "fish"])
  func sound(shell: String) throws {
    let script = try ReleaseBuild.run(["completions", shell])
    #expect(script.output.contains("made by: bulkhead completions \(shell)"))
    let paths = ["/usr/bin/\(shell)", "/bin/\(shell)"]
    guard let executable = paths.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) else {
      return
    }
    let directory = try TemporaryDirectory()
    let path = try directory.write("completion", script.output)
    let result = try ReleaseBuild.run(executable, ["-n", path], environment: ["HOME": directory.path])
    #expect(result.status == .exited(0), "\(result)")
    #expect(result.errors.isEmpty)
  }

  @Test("a shell that it does not know is wrong usage")
  func unknown() throws {
    #expect(try ReleaseBuild.run(["completions", "tcsh"]).status == .exited(64))
    #expect(try ReleaseBuild.run(["completions"]).status == .exited(64))
  }
}
