/// The help, made from what the parser knows.
enum HelpText {
  static func overview() -> String {
    let shown = CommandSpecification.all.filter { !$0.isHidden }
    return """
      bulkhead \(Version.host): serves plugins, and goes on serving when one of them fails

      usage: bulkhead COMMAND [OPTION…]

      \(table(shown.map { (usage(of: $0), $0.summary) }))

      'bulkhead COMMAND --help' tells more of one command.
      Exit status: 0 done; 1 the answer is no; 64 wrong usage; 69 unavailable; 78 the configuration is wrong;
      130 ended by a second Ctrl-C.

      """
  }

  static func topic(_ command: CommandSpecification) -> String {
    let options = command.options.map { ($0.usage, $0.help) }
    var text = """
      usage: bulkhead \(usage(of: command))\(options.isEmpty ? "" : " [OPTION…]")

      \(command.summary.prefix(1).uppercased() + command.summary.dropFirst()).

      """
    if !command.details.isEmpty { text += "\n\(command.details)\n" }
    if !options.isEmpty { text += "\n\(table(options))\n" }
    return text
  }

  private static func usage(of command: CommandSpecification) -> String {
    guard let argument = command.argument else { return command.name }
    let further = command.furtherArguments.map { " \($0)" } ?? ""
    return (command.isArgumentOptional ? "\(command.name) [\(argument)]" : "\(command.name) \(argument)")
      + further
  }

  /// Two columns, indented.
  static func table(_ rows: [(String, String)]) -> String {
    let width = rows.map(\.0.count).max() ?? 0
    return rows.map { left, right in
      right.isEmpty ? "  \(left)" : "  \(left)\(String(repeating: " ", count: width - left.count))  \(right)"
    }.joined(separator: "\n")
  }
}
