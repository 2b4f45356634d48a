import Testing

@testable import bulkhead

/// The errors of a text, as printed.
private func errors(_ text: String, environment: [String: String] = [:]) -> [String] {
  switch ConfigurationFile.parse(text: text, path: "plugins.conf", environment: environment) {
  case .success: []
  case .failure(let errors): errors.errors.map(\.description)
  }
}

@Suite("plugins.conf: errors")
struct ConfigurationErrorTests {
  @Test("every error of a file is reported at once, in the order of its lines")
  func allAtOnce() {
    let found = errors(
      """
      stray = 1
      [hots]
      listen = 127.0.0.1:8080
      [host]
      listne = 127.0.0.1:8080
      head-timeout = 10
      head-timeout = 5s
      log-level = warn
      threads = 0
      nonsense
      [plugin auth]
      mount = api
      on-failure = clsoed
      [plugin auth]
      library = B
      [plugin Bad_Name]
      library = C
      [host]
      """)
    #expect(
      found == [
        "plugins.conf:1: 'stray' stands before any section; begin with '[host]'",
        "plugins.conf:2: unknown section '[hots]'; did you mean 'host'?",
        "plugins.conf:5: unknown key 'listne' in [host]; did you mean 'listen'?",
        "plugins.conf:6: 'head-timeout' is '10', which has no unit: write 250ms, 5s, 2m, 1h or 7d",
        "plugins.conf:7: 'head-timeout' stands twice in [host]; the first is on line 6",
        "plugins.conf:8: 'log-level' is 'warn', which is none of error, warning, info, debug; did you mean 'warning'?",
        "plugins.conf:9: 'threads' is '0', which is not in 1...256",
        "plugins.conf:10: expected 'key = value' or '[section]'",
        "plugins.conf:11: [plugin auth] has no 'library'",
        "plugins.conf:12: 'mount' has 'api', which does not begin with '/'",
        "plugins.conf:13: 'on-failure' is 'clsoed', which is none of closed, open; did you mean 'closed'?",
        "plugins.conf:14: [plugin auth] stands twice; the first is on line 11",
        "plugins.conf:16: the plugin's name 'Bad_Name' must begin with a letter, and be of a-z, 0-9 and '-'",
        "plugins.conf:18: [host] stands twice; the first is on line 4",
      ])
  }

  @Test(
    "a value of the host that is out of range or malformed is refused",
    arguments: [
      ("listen", "localhost:8080", "no numeric address"), ("listen", "127.0.0.1", "no port"),
      ("listen", "127.0.0.1:65536", "0...65535"), ("listen", "::1:80", "brackets"),
      ("listen", ":80", "0.0.0.0:80"),
      ("listen", "[127.0.0.1]:80", "no IPv6"), ("listen", "unix:", "no path"), ("listen", "[::1]", "no port"),
      ("listen", "unix:/" + String(repeating: "x", count: 107), "107 bytes"),
      ("trusted-proxies", "10.0.0.0/33", "0...32"), ("trusted-proxies", "10.0.0", "no address"),
      ("trusted-proxies", "::1/-1", "0...128"), ("trusted-proxies", "::1,,::2", "empty item"),
      ("max-head", "1", "1k...1m"), ("max-body", "9g", "0...4g"), ("max-body", "1x", "no size"),
      ("max-body", "99999999999999999999g", "too large"), ("idle-timeout", "2d", "1ms...1d"),
      ("idle-timeout", "9999999999999d", "too long"), ("max-rss", "1m", "16m...1t"),
      ("socket-mode", "rw-rw----", "octal"), ("socket-mode", "0668", "octal"),
      ("socket-mode", "1777", "octal"), ("socket-mode", "7", "0660"), ("threads", "two", "whole number"),
      ("probe", "/ping 200", "METHOD"), ("probe", "GTE /ping 200", "did you mean 'GET'"),
      ("probe", "GET /ping 99", "200...599"),
      ("diagnostics", "lopback", "did you mean 'loopback'"), ("state-dir", "", "is empty"),
      ("admin-token", "two words", "blanks"),
    ])
  func hostValues(key: String, value: String, says: String) {
    let found = errors("[host]\n\(key) = \(value)\n")
    #expect(found.count == 1)
    #expect(found.first?.hasPrefix("plugins.conf:2: '\(key)' ") == true, "\(found)")
    #expect(found.first?.contains(says) == true, "\(found)")
  }

  @Test(
    "a value of a plugin that is out of range or malformed is refused",
    arguments: [
      ("mount", "/a//b", "empty segment"), ("mount", "/a/../b", "dot segment"), ("mount", "/a/*", "no place"),
      ("mount", "/__diag/x", "the host's own"), ("mount", "/health", "the host's own"),
      ("mount", "/a?b", "after the path"),
      ("paths", "/a, b", "begin with '/'"), ("paths", "/a*", "whole segment"),
      ("paths", "/a/**", "not needed"),
      ("paths", "/{id}", "'*' here"), ("except", "/caf%C3%A9", "percent"), ("paths", "/a b", "not allowed"),
      ("timeout", "0", "1ms...1h"), ("quarantine-after", "5", "5/10s"),
      ("quarantine-after", "0/1s", "1...1000"),
      ("quarantine-after", "2/0", "1ms...1d"), ("recover", "nevr", "did you mean 'never'"),
      ("recover", "5s..1s", "below its beginning"), ("recover", "5..6s", "no unit"),
      ("recover", "1s..", "no duration"),
      ("sha256", "abc", "64 hexadecimal"), ("heavy", "maybe", "neither true nor false"),
      ("mode", "shadwo", "did you mean 'shadow'"), ("applies-to", "protcted", "did you mean 'protected'"),
    ])
  func pluginValues(key: String, value: String, says: String) {
    let found = errors("[plugin a]\nlibrary = A\n\(key) = \(value)\n")
    #expect(found.count == 1)
    #expect(found.first?.hasPrefix("plugins.conf:3: '\(key)' ") == true, "\(found)")
    #expect(found.first?.contains(says) == true, "\(found)")
  }

  @Test(
    "a mistyped 'library' is told with its own line and the right name, and once",
    arguments: [
      ("libary = A", "plugins.conf:2: unknown key 'libary' in [plugin a]; did you mean 'library'?"),
      ("mode = off\nlib = A", "plugins.conf:3: unknown key 'lib' in [plugin a]; did you mean 'library'?"),
      (
        "Library = A",
        "plugins.conf:2: 'Library' in [plugin a] is no key: keys are of a-z, 0-9 and '-'; did you mean 'library'?"
      ),
      (
        "libary = ${X}",
        "plugins.conf:2: 'libary' needs the environment variable X, which is not set; set it, or give a default: ${X:-…}"
      ),
      ("ttl = 5s", "plugins.conf:1: [plugin a] has no 'library'"),
    ])
  func mistypedLibrary(lines: String, says: String) {
    #expect(errors("[plugin a]\n\(lines)\n") == [says])
  }

  @Test("a key of the plugin's own that is like 'library' is its own where there is a library")
  func keyLikeLibrary() throws {
    let text = "[plugin a]\nlibrary = A\nlibary = B\n"
    let plugin = try ConfigurationFile.parse(text: text, path: "p").get().plugins[0]
    #expect(plugin.settings.map(\.key) == ["libary"])
  }

  @Test("diagnostics by token need a token")
  func adminToken() throws {
    #expect(errors("[host]\ndiagnostics = token").first?.contains("'admin-token' must be set") == true)
    #expect(errors("[host]\ndiagnostics = token\nadmin-token = ${T}").count == 1)
    let text = "[host]\nadmin-token = ${T}\ndiagnostics = token"
    let host = try ConfigurationFile.parse(text: text, path: "p", environment: ["T": "s3cret"]).get().host
    #expect(host.diagnostics == .token("s3cret"))
  }

  @Test("what is wrong with a CORS policy is named with its line")
  func cors() {
    #expect(
      errors("[cors]\norigins = https://a.example, nonsense, ftp//b").map { String($0.prefix(28)) }
        == ["plugins.conf:2: 'origins' is", "plugins.conf:2: 'origins' is"])
    let unsafe = errors("[cors]\norigins = *\ncredentials = true\n")
    #expect(unsafe.count == 1)
    #expect(unsafe.first?.hasPrefix("plugins.conf:3: [cors]: ") == true, "\(unsafe)")
    #expect(errors("[cors]\norigns = *\n").first?.contains("did you mean 'origins'") == true)
  }

  @Test("a file that can not be read is an error with its path")
  func unreadable() {
    guard
      case .failure(let missing) = ConfigurationFile.load(path: "/nonexistent/plugins.conf", environment: [:]),
      case .failure(let directory) = ConfigurationFile.load(path: "/", environment: [:])
    else {
      Issue.record("read")
      return
    }
    #expect(missing.description == "/nonexistent/plugins.conf: cannot be read: No such file or directory")
    #expect(directory.description == "/: cannot be read: Is a directory")
  }

  @Test("a misspelt key of a plugin's section that is no kebab-case is reported by the host")
  func pluginKeySpelling() {
    #expect(
      errors("[plugin a]\nlibrary = A\nApplies_To = all")
        == [
          "plugins.conf:3: 'Applies_To' in [plugin a] is no key: keys are of a-z, 0-9 and '-'; did you mean 'applies-to'?"
        ])
  }
}
