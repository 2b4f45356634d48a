/// `bulkhead completions SHELL`: a script for the shell's completion, made from what the parser knows.
enum CompletionsCommand {
  static func run(_ shell: CompletionShell) -> ExitStatus { Output.print(script(for: shell)) }

  static func script(for shell: CompletionShell) -> String {
    let commands = CommandSpecification.all.filter { !$0.isHidden }
    return switch shell {
    case .bash: BashCompletions.script(commands)
    case .zsh: ZshCompletions.script(commands)
    case .fish: FishCompletions.script(commands)
    }
  }
}

enum CompletionShell: String, Sendable, CaseIterable { case bash, zsh, fish }

/// What a word on the command line may be, by what stands for it in the help.
enum CompletionKind: Equatable {
  case words([String])
  case files
  case directories
  /// Of the configuration in the working directory.
  case plugins
  /// Of the ledger.
  case faults
  /// Nothing that could be listed.
  case anything

  init(placeholder: String, choices: [String]) {
    self =
      switch placeholder {
      case _ where !choices.isEmpty: .words(choices)
      case "FILE", "LIB", "REQUEST", "[CASES…]": .files
      case "DIR": .directories
      case "NAME": .plugins
      case "ID": .faults
      case "COMMAND": .words(CommandSpecification.all.filter { !$0.isHidden }.map(\.name))
      case "LANGUAGE": .words(NewOptions.Language.allCases.map(\.rawValue))
      default: .anything
      }
  }

  /// Shell that prints the names of plugins, one a line; the same in every shell.
  static let listPlugins =
    #"sed -n 's/^\[plugin  *"\{0,1\}\([a-z0-9-]*\)"\{0,1\}\].*/\1/p' plugins.conf 2>/dev/null"#
  /// Shell that prints the faults on record.
  static let listFaults = "bulkhead faults 2>/dev/null | sed -n '2,$s/ .*//p'"
}

extension CommandSpecification {
  /// What its first argument may be; nil if it takes none.
  var argumentKind: CompletionKind? {
    argument.map { CompletionKind(placeholder: $0, choices: choices) }
  }

  /// What the arguments after that may be; nil if it takes none.
  var furtherKind: CompletionKind? {
    // A new plugin's name is nobody's yet.
    guard let furtherArguments else { return nil }
    return furtherArguments == "NAME" ? .anything : CompletionKind(placeholder: furtherArguments, choices: [])
  }

  /// Its own, and `--help`.
  var shownOptions: [Option] {
    options + [Option(name: "--help", value: nil, help: "show the help of \(name)")]
  }
}

extension CommandSpecification.Option {
  /// What its value may be; nil if it takes none.
  var kind: CompletionKind? { value.map { CompletionKind(placeholder: $0, choices: []) } }
}

// MARK: bash

enum BashCompletions {
  static func script(_ commands: [CommandSpecification]) -> String {
    """
    # bash completion for bulkhead; made by: bulkhead completions bash
    _bulkhead() {
      local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}
      local options= valued= kind= words= index=2 position=0
      COMPREPLY=()
      # bash splits --option=value at the '='.
      if [[ $current == '=' ]]; then
        current=
      elif [[ $previous == '=' ]]; then
        previous=${COMP_WORDS[COMP_CWORD-2]}
      fi
      if (( COMP_CWORD == 1 )); then
        COMPREPLY=( $(compgen -W '\(commands.map(\.name).joined(separator: " ")) --help --version' -- "$current") )
        return
      fi
      case $command in
    \(commands.map(options).joined(separator: "\n"))
        *) return ;;
      esac
      # How many arguments stand before this word.
      while (( index < COMP_CWORD )); do
        case " $valued " in
          *" ${COMP_WORDS[index]} "*)
            (( index++ ))
            [[ ${COMP_WORDS[index]} == '=' ]] && (( index++ ))
            ;;
          *) [[ ${COMP_WORDS[index]} == -* ]] || (( position++ )) ;;
        esac
        (( index++ ))
      done
      case $command:$previous in
    \(commands.flatMap(values).joined(separator: "\n"))
        *)
          if [[ $current == -* ]]; then
            COMPREPLY=( $(compgen -W "$options" -- "$current") )
            return
          fi
          (( position > 1 )) && position=1
          case $command:$position in
    \(commands.flatMap(arguments).joined(separator: "\n"))
            *) kind=words words=$options ;;
          esac
          ;;
      esac
      case $kind in
        words) COMPREPLY=( $(compgen -W "$words" -- "$current") ) ;;
        files) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
        directories) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
        plugins) COMPREPLY=( $(compgen -W "$(\(CompletionKind.listPlugins))" -- "$current") ) ;;
        faults) COMPREPLY=( $(compgen -W "$(\(CompletionKind.listFaults))" -- "$current") ) ;;
      esac
    }
    complete -F _bulkhead bulkhead

    """
  }

  private static func options(_ command: CommandSpecification) -> String {
    let names = command.shownOptions.map(\.name).joined(separator: " ")
    let valued = command.options.filter { $0.value != nil }.map(\.name).joined(separator: " ")
    return "    \(command.name)) options='\(names)' valued='\(valued)' ;;"
  }

  private static func values(_ command: CommandSpecification) -> [String] {
    command.options.compactMap { option in
      option.kind.map { "    \(command.name):\(option.name)) \(assignment($0)) ;;" }
    }
  }

  private static func arguments(_ command: CommandSpecification) -> [String] {
    var lines: [String] = []
    if let kind = command.argumentKind { lines.append("        \(command.name):0) \(assignment(kind)) ;;") }
    if let kind = command.furtherKind { lines.append("        \(command.name):1) \(assignment(kind)) ;;") }
    return lines
  }

  private static func assignment(_ kind: CompletionKind) -> String {
    switch kind {
    case .words(let words): "kind=words words='\(words.joined(separator: " "))'"
    case .files: "kind=files"
    case .directories: "kind=directories"
    case .plugins: "kind=plugins"
    case .faults: "kind=faults"
    case .anything: "kind=none"
    }
  }
}

// MARK: zsh

enum ZshCompletions {
  static func script(_ commands: [CommandSpecification]) -> String {
    """
    #compdef bulkhead
    # zsh completion for bulkhead; made by: bulkhead completions zsh
    _bulkhead_plugins() {
      local -a names
      names=( ${(f)"$(\(CompletionKind.listPlugins))"} )
      (( $#names )) && compadd -a names
    }
    _bulkhead_faults() {
      local -a names
      names=( ${(f)"$(\(CompletionKind.listFaults))"} )
      (( $#names )) && compadd -a names
    }
    _bulkhead() {
      local context state state_descr line
      local -a commands
      typeset -A opt_args
      _arguments -C '(- *)--help[show the help]' '(- *)--version[show the version]' \\
        '1:command:->command' '*::argument:->argument'
      case $state in
        command)
          commands=(
    \(commands.map { "        '\($0.name):\(quoted($0.summary))'" }.joined(separator: "\n"))
          )
          _describe command commands
          ;;
        argument)
          case $line[1] in
    \(commands.map(arguments).joined(separator: "\n"))
          esac
          ;;
      esac
    }
    if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _bulkhead "$@"; else compdef _bulkhead bulkhead; fi

    """
  }

  private static func arguments(_ command: CommandSpecification) -> String {
    var words = command.shownOptions.map { option in
      let repeatable = option.isRepeatable ? "*" : ""
      let text = quoted(option.help).split(separator: ":").joined(separator: "\\:")
      guard let value = option.value, let kind = option.kind else {
        return "'\(repeatable)\(option.name)[\(text)]'"
      }
      // `=` takes the value in the same word or the next, which one letter's option has no `=` for; `::` need not come.
      let colon = option.isValueOptional ? "::" : ":"
      let equals = option.name.hasPrefix("--") ? "=" : ""
      return "'\(repeatable)\(option.name)\(equals)[\(text)]\(colon)\(value):\(action(kind))'"
    }
    if let argument = command.argument, let kind = command.argumentKind {
      words.append("'1:\(argument):\(action(kind))'")
    }
    if let further = command.furtherArguments, let kind = command.furtherKind {
      words.append("'*:\(further.filter { !"[]…".contains($0) }):\(action(kind))'")
    }
    return "        \(command.name)) _arguments \(words.joined(separator: " \\\n          ")) ;;"
  }

  private static func action(_ kind: CompletionKind) -> String {
    switch kind {
    case .words(let words): "(\(words.joined(separator: " ")))"
    case .files: "_files"
    case .directories: "_files -/"
    case .plugins: "_bulkhead_plugins"
    case .faults: "_bulkhead_faults"
    case .anything: " "
    }
  }

  /// Within single quotes and brackets.
  private static func quoted(_ text: String) -> String {
    text.map { character in
      switch character {
      case "'": "'\\''"
      case "[", "]": "\\\(character)"
      default: String(character)
      }
    }.joined()
  }
}

// MARK: fish

enum FishCompletions {
  static func script(_ commands: [CommandSpecification]) -> String {
    let lines = commands.flatMap { command in
      ["complete -c bulkhead -n __fish_use_subcommand -a \(command.name) -d '\(quoted(command.summary))'"]
        + command.shownOptions.map { option(of: command, $0) } + arguments(command)
    }
    return """
      # fish completion for bulkhead; made by: bulkhead completions fish
      complete -c bulkhead -f
      complete -c bulkhead -n __fish_use_subcommand -l help -d 'show the help'
      complete -c bulkhead -n __fish_use_subcommand -l version -d 'show the version'
      \(lines.joined(separator: "\n"))

      """
  }

  private static func condition(_ command: CommandSpecification) -> String {
    "complete -c bulkhead -n '__fish_seen_subcommand_from \(command.name); and test (commandline -opc)[2] = \(command.name)'"
  }

  private static func option(
    of command: CommandSpecification, _ option: CommandSpecification.Option
  ) -> String {
    let dashes = option.name.prefix { $0 == "-" }.count
    let name = "\(dashes == 2 ? "-l" : "-s") \(option.name.dropFirst(dashes))"
    var value = ""
    if let kind = option.kind {
      value = option.isValueOptional ? " " : " -r "
      value += candidates(kind)
    }
    return "\(condition(command)) \(name)\(value) -d '\(quoted(option.help))'"
  }

  private static func arguments(_ command: CommandSpecification) -> [String] {
    // Files for whatever follows a first argument that is a file, too.
    guard let kind = command.argumentKind, kind != .anything else { return [] }
    return ["\(condition(command)) \(candidates(kind))"]
  }

  private static func candidates(_ kind: CompletionKind) -> String {
    switch kind {
    case .words(let words): "-f -a '\(words.joined(separator: " "))'"
    case .files: "-F"
    case .directories: "-f -a '(__fish_complete_directories)'"
    case .plugins: "-f -a '(\(quoted(CompletionKind.listPlugins)))'"
    case .faults: "-f -a '(\(quoted(CompletionKind.listFaults)))'"
    case .anything: "-f"
    }
  }

  /// Within single quotes, where a backslash and the quote need a backslash.
  private static func quoted(_ text: String) -> String {
    text.map { $0 == "'" || $0 == "\\" ? "\\\($0)" : String($0) }.joined()
  }
}
