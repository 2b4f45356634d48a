import Testing

@testable import bulkhead

/// The value of one setting of a plugin, written as `written`.
private func value(_ written: String, environment: [String: String] = [:]) throws -> String {
  let text = "[plugin a]\nlibrary = A\nx = \(written)\n"
  let plugin = try ConfigurationFile.parse(text: text, path: "plugins.conf", environment: environment).get()
    .plugins[0]
  return try #require(plugin.settings.first).value
}

@Suite("plugins.conf: the grammar of values")
struct GrammarTests {
  @Test(
    "blanks, comments, quotes and escapes",
    arguments: [
      ("plain", "plain"), ("  two words \t ", "two words"), ("a # comment", "a"), ("# nothing", ""), ("", ""),
      (#""  edges  ""#, "  edges  "), (#""a # b"  # comment"#, "a # b"),
      (#""say \"hi\" \\ \$ \n\t""#, "say \"hi\" \\ $ \n\t"),
      (#"say "hi" twice"#, #"say "hi" twice"#), ("a=b=c", "a=b=c"), (#"C:\dir"#, #"C:\dir"#), ("é…", "é…"),
    ])
  func values(written: String, meant: String) throws {
    #expect(try value(written) == meant)
  }

  @Test(
    "what could be meant in two ways is refused",
    arguments: ["a#b", "#a#b # c"].map { ($0, $0.hasPrefix("#")) })
  func hashes(written: String, isComment: Bool) {
    #expect((try? value(written)) == (isComment ? "" : nil))
  }

  @Test(
    "a value that is not well formed is an error",
    arguments: [
      (#""open"#, "no closing quote"), (#""a" b"#, "closing quote"), (#""\x""#, #"escape '\x'"#),
      (#"a "b # c""#, "'#'"), ("${", "without its '}'"), ("${1X}", "${1X}"),
      ("${NOPE}", "NOPE, which is not set"),
      ("${file:}", "without a path"), ("${file:/nonexistent/secret}", "No such file"),
      ("${A:?b}", "write ${NAME}"),
      ("a\u{1}b", "control character"), ("a\u{0}b", "NUL"),
    ])
  func malformed(written: String, says: String) throws {
    let text = "[plugin a]\nlibrary = A\nx = \(written)\n"
    let result = ConfigurationFile.parse(text: text, path: "plugins.conf")
    guard case .failure(let errors) = result else {
      Issue.record("accepted")
      return
    }
    #expect(errors.errors.count == 1)
    #expect(errors.errors[0].line == 3)
    #expect(errors.description.contains(says), "\(errors)")
  }

  @Test("variables, defaults and dollars")
  func substitution() throws {
    let environment = ["NAME": "velro", "EMPTY": "", "TRICK": "a # \"b\" ${NAME} ", "X": "7"]
    #expect(try value("<${NAME}>", environment: environment) == "<velro>")
    #expect(try value("${NAME}-${X}", environment: environment) == "velro-7")
    #expect(try value("${UNSET:-fallback}", environment: environment) == "fallback")
    #expect(try value("${EMPTY:-fallback}", environment: environment) == "fallback")
    #expect(try value("${EMPTY}", environment: environment) == "")
    #expect(try value("${UNSET:-${NAME}/${X:-8}}", environment: environment) == "velro/7")
    #expect(try value("${UNSET:-}", environment: environment) == "")
    #expect(try value("\"${NAME} # ${X}\"", environment: environment) == "velro # 7")
    #expect(try value("$$NAME costs 5$ or $9", environment: environment) == "$NAME costs 5$ or $9")
    #expect(try value("$${NAME}", environment: environment) == "${NAME}")
  }

  @Test("what a variable holds is never read again")
  func substitutionIsFinal() throws {
    let environment = ["TRICK": "a # \"b\" ${NAME} ", "NAME": "velro"]
    #expect(try value("${TRICK}", environment: environment) == "a # \"b\" ${NAME} ")
    #expect(try value("\"${TRICK}\"", environment: environment) == "a # \"b\" ${NAME} ")
  }

  @Test("substitutions nest only so deep")
  func nesting() {
    let deep = String(repeating: "${A:-", count: 1000) + String(repeating: "}", count: 1000)
    #expect(throws: ConfigurationErrors.self) { try value(deep) }
  }

  @Test("invalid UTF-8 is named with its line, and reading goes on")
  func invalidUTF8() {
    let bytes = Array("[host]\nlog-level = inf".utf8) + [0xFF, 0x0A] + Array("threads = many\n".utf8)
    guard case .failure(let errors) = ConfigurationFile.parse(bytes: bytes, path: "plugins.conf") else {
      Issue.record("accepted")
      return
    }
    #expect(errors.errors.map(\.line) == [2, 3])
    #expect(errors.errors[0].message.contains("UTF-8"))
  }

  @Test("a value that is too long is refused")
  func tooLong() {
    let text = String(repeating: "x", count: ConfigurationText.maximumValue + 1)
    #expect(throws: ConfigurationErrors.self) { try value(text) }
    #expect(throws: ConfigurationErrors.self) { try value("${LONG}", environment: ["LONG": text]) }
  }

  @Test("a section's name may be quoted, and a comment may follow")
  func headers() throws {
    let text = "[ plugin  \"auth\" ]  # who is it\nlibrary = A"
    #expect(try ConfigurationFile.parse(text: text, path: "p").get().plugins.map(\.name) == ["auth"])
  }
}
