import Foundation
import Testing

@testable import bulkhead

@Suite("plugins.conf: what it means")
struct ConfigurationFileTests {
  private func parse(_ text: String, environment: [String: String] = [:]) throws -> Configuration {
    try ConfigurationFile.parse(text: text, path: "/etc/bulkhead/plugins.conf", environment: environment)
      .get()
  }

  @Test("every form of address")
  func listen() throws {
    let host = try parse(
      """
      [host]
      listen = 0.0.0.0:80
      listen = [0:0::1]:8080
      listen = unix:/run/b.sock
      listen = unix:b.sock
      listen = 127.0.0.1:0
      listen = 127.0.0.1:0
      """
    ).host
    #expect(
      host.listen == [
        .ipv4("0.0.0.0", port: 80), .ipv6("::1", port: 8080), .unix(path: "/run/b.sock"),
        .unix(path: "/etc/bulkhead/b.sock"), .ipv4("127.0.0.1", port: 0), .ipv4("127.0.0.1", port: 0),
      ])
  }

  @Test(
    "addresses that exclude each other are an error with both lines, also where PORT makes them so",
    arguments: [
      ("0.0.0.0:1", "127.0.0.1:1", "", true), ("127.0.0.1:1", "0.0.0.0:1", "", true),
      ("0.0.0.0:1", "127.0.0.1:2", "", false), ("0.0.0.0:1", "127.0.0.1:2", "3", true),
      ("0.0.0.0:0", "127.0.0.1:0", "", false), ("0.0.0.0:1", "127.0.0.1:2", "0", false),
      ("[::]:1", "[::1]:1", "", true), ("[::]:1", "0.0.0.0:1", "", false),
      ("127.0.0.1:1", "127.0.0.1:2", "3", false), ("unix:/a", "unix:/b", "3", false),
    ])
  func excludingAddresses(first: String, second: String, port: String, isError: Bool) {
    let result = ConfigurationFile.parse(
      text: "[host]\nlisten = \(first)\nlisten = \(second)\n", path: "plugins.conf",
      environment: ["PORT": port])
    guard case .failure(let errors) = result else {
      #expect(!isError)
      return
    }
    #expect(isError, "\(errors)")
    #expect(errors.errors.map(\.line) == [3], "\(errors)")
    #expect(errors.description.contains("on line 2"), "\(errors)")
    #expect(errors.description.contains("PORT") == !port.isEmpty, "\(errors)")
  }

  @Test("PORT overrides the port of each TCP listener")
  func port() throws {
    let text = "[host]\nlisten = 127.0.0.1:80\nlisten = 127.0.0.1:81\nlisten = [::]:80\nlisten = unix:/s"
    #expect(
      try parse(text, environment: ["PORT": "9000"]).host.listen == [
        .ipv4("127.0.0.1", port: 9000), .ipv6("::", port: 9000), .unix(path: "/s"),
      ])
    #expect(try parse("", environment: ["PORT": "9000"]).host.listen == [.ipv4("127.0.0.1", port: 9000)])
    #expect(try parse("", environment: ["PORT": ""]).host.listen == [.ipv4("127.0.0.1", port: 8080)])
    #expect(throws: ConfigurationErrors.self) { try parse("", environment: ["PORT": "http"]) }
  }

  @Test("libraries: bare names, file names, paths")
  func libraries() throws {
    let plugins = try parse(
      """
      [plugin a]
      library = A
      [plugin b]
      library = libB.so
      [plugin c]
      library = plugins/c.so
      [plugin d]
      library = /opt/d.so
      [host]
      plugin-path = lib
      """
    ).plugins
    #expect(
      plugins.map(\.libraryPath) == [
        "/etc/bulkhead/lib/libA.so", "/etc/bulkhead/lib/libB.so", "/etc/bulkhead/plugins/c.so", "/opt/d.so",
      ])
  }

  @Test("a plugin without a start-timeout has that of the host, which is 10 s unless it is set")
  func startTimeout() throws {
    let plain = try parse("[plugin a]\nlibrary = A")
    #expect(plain.host.startTimeout == .seconds(10))
    #expect(plain.plugins[0].startTimeout == nil)
    #expect(try parse("[host]\nstart-timeout = 1h").host.startTimeout == .seconds(3600))
    for wrong in ["0", "61m"] {
      #expect(throws: ConfigurationErrors.self) { try parse("[host]\nstart-timeout = \(wrong)") }
    }
  }

  @Test("all keys of a plugin")
  func plugin() throws {
    let digest = String(repeating: "Ab", count: 32)
    let plugin = try parse(
      """
      [plugin limits]
      library = RateLimitPlugin
      mount = /api/
      applies-to = all
      paths = /api/*, /v2/
      except = /api/x
      on-failure = open
      timeout = 250ms
      start-timeout = 3s
      quarantine-after = 5/10s
      recover = 2s..2m
      probation = 0
      heavy = yes
      required = on
      mode = shadow
      sha256 = \(digest)
      limit = 100/1m burst 20
      limit = "5/1s # hard"
      """
    ).plugins[0]
    #expect(plugin.mount == "/api")
    #expect(plugin.appliesTo == .all)
    #expect(plugin.paths == [PathPattern("/api/*"), PathPattern("/v2")])
    #expect(plugin.except == [PathPattern("/api/x")])
    #expect(plugin.onFailure == .open)
    #expect(plugin.timeout == .milliseconds(250))
    #expect(plugin.startTimeout == .seconds(3))
    #expect(plugin.quarantineAfter == FaultThreshold(count: 5, window: .seconds(10)))
    #expect(plugin.recover == Backoff(initial: .seconds(2), maximum: .seconds(120)))
    #expect(plugin.probation == .zero)
    #expect(plugin.isHeavy && plugin.isRequired)
    #expect(plugin.mode == .shadow)
    #expect(plugin.sha256 == digest.lowercased())
    #expect(
      plugin.settings == [
        RawSetting(key: "limit", value: "100/1m burst 20", line: 17),
        RawSetting(key: "limit", value: "5/1s # hard", line: 18),
      ])
    #expect(plugin.line == 1)
    #expect(try parse("[plugin a]\nlibrary = A\nrecover = never").plugins[0].recover == nil)
    #expect(
      try parse("[plugin a]\nlibrary = A\nrecover = 5s").plugins[0].recover
        == Backoff(initial: .seconds(5), maximum: .seconds(5)))
    #expect(try parse("[plugin a]\nlibrary = A\nmount = /").plugins[0].mount == "")
  }

  @Test(
    "the bypass switches of the environment",
    arguments: [
      ([:], Bypass.off), (["BYPASS_ALL_MIDDLEWARE": "true"], .all), (["BYPASS_ALL_MIDDLEWARE": "TRUE"], .all),
      (["DISABLE_HEAVY_MIDDLEWARE": "1"], .heavy), (["BYPASS_ALL_MIDDLEWARE": "false"], .off),
      (["BYPASS_ALL_MIDDLEWARE": "on", "DISABLE_HEAVY_MIDDLEWARE": "yes"], .all),
    ])
  func bypass(environment: [String: String], bypass: Bypass) throws {
    #expect(try parse("", environment: environment).bypass == bypass)
  }

  @Test("a bypass switch that says neither yes nor no is an error")
  func badBypass() {
    #expect(throws: ConfigurationErrors.self) {
      try parse("", environment: ["BYPASS_ALL_MIDDLEWARE": "maybe"])
    }
  }

  @Test("a file: paths start at its directory, secrets come from files, --listen replaces listen and PORT")
  func load() throws {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("bulkhead-\(UUID())")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let file = directory.appendingPathComponent("plugins.conf")
    try "line 1\nline 2\r\n".write(
      to: directory.appendingPathComponent("secret"), atomically: true, encoding: .utf8)
    try
      "[host]\nlisten = 127.0.0.1:1\n[plugin a]\nlibrary = A\nsecret = ${file:secret}\nother = ${file:${DIR}/secret}\n"
      .write(to: file, atomically: true, encoding: .utf8)
    let configuration = try ConfigurationFile.load(
      path: file.path, environment: ["DIR": directory.path, "PORT": "3"], listenOverride: "[::1]:2"
    ).get()
    #expect(configuration.host.listen == [.ipv6("::1", port: 2)])
    #expect(configuration.host.stateDirectory == directory.appendingPathComponent(".bulkhead").path)
    #expect(configuration.plugins[0].settings.map(\.value) == ["line 1\nline 2", "line 1\nline 2"])
    #expect(configuration.path == file.path)
    guard
      case .failure(let errors) = ConfigurationFile.load(
        path: file.path, environment: ["DIR": directory.path], listenOverride: "nowhere")
    else {
      Issue.record("accepted")
      return
    }
    #expect(errors.description.hasPrefix("--listen: is 'nowhere'"))
  }

  @Test("random bytes are read or refused, and never trap")
  func randomText() {
    let seed = UInt64.random(in: 0 ... .max)
    print("seed \(seed)")
    var random = SplitMix64(state: seed)
    let pieces = Array(DesignExampleTests.text.utf8)
    for _ in 0..<2000 {
      var bytes = pieces
      for _ in 0..<Int.random(in: 1...8, using: &random) {
        let index = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: bytes[index] = UInt8.random(in: 0 ... .max, using: &random)
        case 1: bytes.removeSubrange(index..<min(bytes.count, index + Int.random(in: 1...40, using: &random)))
        default: bytes.insert(contentsOf: "${\"#=[".utf8.shuffled(using: &random).prefix(2), at: index)
        }
      }
      if case .failure(let errors) = ConfigurationFile.parse(bytes: bytes, path: "p") {
        #expect(!errors.errors.isEmpty, "seed \(seed)")
      }
    }
  }
}

/// Steele, Lea and Flood's generator: small, and the same on every machine for one seed.
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
