import Testing

@testable import bulkhead

@Suite("Completion scripts")
struct CompletionsTests {
  @Test("each has every command and option, and nothing hidden", arguments: CompletionShell.allCases)
  func coverage(shell: CompletionShell) {
    let lines = CompletionsCommand.script(for: shell).split(separator: "\n").map(String.init)
    for command in CommandSpecification.all {
      // Where a command's options stand: bash and zsh have them behind `name)`, fish a line for each.
      let own: [String] =
        switch shell {
        case .bash: lines.filter { $0.hasPrefix("    \(command.name)) options=") }
        case .zsh:
          Array(lines.drop { !$0.hasPrefix("        \(command.name)) ") }.prefix(20))
        case .fish: lines.filter { $0.contains("__fish_seen_subcommand_from \(command.name);") }
        }
      #expect(own.isEmpty == command.isHidden, "\(command.name)")
      guard !command.isHidden else { continue }
      for option in command.options {
        let shown = shell == .fish ? String(option.name.drop { $0 == "-" }) : option.name
        #expect(own.contains { $0.contains(shown) }, "\(command.name) \(option.name)")
      }
      for choice in command.choices {
        #expect(lines.contains { $0.contains(command.name) && $0.contains(choice) } || shell == .zsh)
      }
    }
  }

  @Test("what a word may be follows from what stands for it in the help")
  func kinds() {
    #expect(CommandSpecification.bypass.argumentKind == .words(["all", "heavy", "off"]))
    #expect(CommandSpecification.quarantine.argumentKind == .plugins)
    #expect(CommandSpecification.faults.argumentKind == .faults)
    #expect(CommandSpecification.new.furtherKind == .anything)
    #expect(CommandSpecification.test.furtherKind == .files)
    #expect(CommandSpecification.config.kind == .files)
    #expect(CommandSpecification.json.kind == nil)
    #expect(CommandSpecification.version.argumentKind == nil)
  }
}
