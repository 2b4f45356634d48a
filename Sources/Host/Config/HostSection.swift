/// The `[host]` section: text to values.
///
/// | key | values | default |
/// | --- | --- | --- |
/// | `listen` | address and port, or `unix:PATH`; repeatable | `127.0.0.1:8080` |
/// | `socket-mode` | octal permissions, 0...0777 | by the umask |
/// | `threads` | `auto`, or 1...256 event loops | `auto` |
/// | `plugin-path` | directory of bare library names | `.build/release` |
/// | `state-dir` | directory of what outlives the host | `.bulkhead` |
/// | `diagnostics` | `loopback`, `token`, `public`, `off` | `loopback` |
/// | `admin-token` | for `diagnostics = token`, and for the buttons of `/__diag/` | none |
/// | `trusted-proxies` | list of addresses and blocks | none |
/// | `log-format` | `text`, `json` | `text` |
/// | `log-level` | `error`, `warning`, `info`, `debug` | `info` |
/// | `max-head` | 1k...1m | `16k` |
/// | `max-body` | 0...4g | `1m` |
/// | `head-timeout`, `body-timeout` | 1ms...1h | `10s`, `30s` |
/// | `idle-timeout` | 1ms...1d | `75s` |
/// | `drain-timeout` | 0...1h | `30s` |
/// | `request-timeout` | 1ms...1d | `60s` |
/// | `start-timeout` | 1ms...1h | `10s` |
/// | `probe` | `METHOD /target STATUS`; repeatable | none |
/// | `max-rss` | 0 for never, or 16m...1t | `0` |
enum HostSection {
  static let keys = SectionReader.Keys(
    single: [
      "threads", "plugin-path", "state-dir", "diagnostics", "admin-token", "trusted-proxies", "log-format",
      "log-level", "max-head", "max-body", "head-timeout", "body-timeout", "idle-timeout", "drain-timeout",
      "request-timeout", "start-timeout", "max-rss", "socket-mode",
    ],
    repeatable: ["listen", "probe"])

  static let defaultListen = ListenAddress.ipv4("127.0.0.1", port: 8080)

  static func read(_ reader: inout SectionReader, paths: FilePaths) -> HostConfiguration {
    var host = HostConfiguration()
    readAddresses(&reader, into: &host, paths: paths)
    readAccess(&reader, into: &host)
    readLimits(&reader, into: &host)
    host.socketMode = reader.value("socket-mode", permissions)
    if let threads = reader.value("threads", threads) { host.threads = threads }
    host.pluginPath = paths.resolve(reader.value("plugin-path", ValueText.path) ?? host.pluginPath)
    host.stateDirectory = paths.resolve(reader.value("state-dir", ValueText.path) ?? host.stateDirectory)
    host.logFormat = reader.choice("log-format", of: LogFormat.self) ?? host.logFormat
    host.logLevel = reader.value("log-level", logLevel) ?? host.logLevel
    host.probes = reader.values("probe", probe).map(\.value)
    return host
  }

  private static func readAddresses(
    _ reader: inout SectionReader, into host: inout HostConfiguration, paths: FilePaths
  ) {
    let addresses = reader.values("listen") { value throws(InvalidValue) in
      try ListenAddress.parse(value, paths: paths)
    }
    var seen: Set<ListenAddress> = []
    for (address, line) in addresses {
      if !address.isAnyPort, !seen.insert(address).inserted {
        reader.complain("'listen' has \(address.text.quotedForMessage) twice", line)
      } else {
        host.listen.append(address)
      }
    }
    host.trustedProxies = reader.list("trusted-proxies", AddressPrefix.parse) ?? []
  }

  private static func readAccess(_ reader: inout SectionReader, into host: inout HostConfiguration) {
    let token = reader.value("admin-token") { value throws(InvalidValue) in
      guard !value.isEmpty else { throw InvalidValue("is empty") }
      // It is sent as a Bearer token: RFC 6750 section 2.1.
      guard value.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
        throw InvalidValue("has blanks, or characters that are not ASCII")
      }
      return value
    }
    host.adminToken = token
    let access: DiagnosticsAccess? = reader.value("diagnostics") { value throws(InvalidValue) in
      try ValueText.choice(
        value,
        of: [("loopback", .loopback), ("token", .token(token ?? "")), ("public", .public), ("off", .off)])
    }
    guard let access else { return }
    host.diagnostics = access
    if case .token = access, token == nil, !reader.has("admin-token") {
      reader.complain(
        "'diagnostics' is 'token', so 'admin-token' must be set: admin-token = ${ADMIN_TOKEN}",
        reader.line(of: "diagnostics"))
    }
  }

  private static func readLimits(_ reader: inout SectionReader, into host: inout HostConfiguration) {
    let shortest = Duration.milliseconds(1)
    let hour = Duration.seconds(3600)
    let day = Duration.seconds(86_400)
    host.maxHead = reader.size("max-head", in: (1 << 10)...(1 << 20)) ?? host.maxHead
    host.maxBody = reader.size("max-body", in: 0...(4 << 30)) ?? host.maxBody
    host.headTimeout = reader.duration("head-timeout", in: shortest...hour) ?? host.headTimeout
    host.bodyTimeout = reader.duration("body-timeout", in: shortest...hour) ?? host.bodyTimeout
    host.idleTimeout = reader.duration("idle-timeout", in: shortest...day) ?? host.idleTimeout
    host.drainTimeout = reader.duration("drain-timeout", in: .zero...hour) ?? host.drainTimeout
    host.requestTimeout = reader.duration("request-timeout", in: shortest...day) ?? host.requestTimeout
    host.startTimeout = reader.duration("start-timeout", in: shortest...hour) ?? host.startTimeout
    let recycling = reader.value("max-rss") { value throws(InvalidValue) in
      // A worker could not live below what it needs when idle, and would be recycled without end.
      value == "0" ? 0 : try ValueText.size(value, in: (16 << 20)...(1 << 40))
    }
    host.maxResidentSize = recycling ?? host.maxResidentSize
  }

  private static func logLevel(_ text: String) throws(InvalidValue) -> LogLevel {
    try ValueText.choice(text, of: LogLevel.allCases.map { ("\($0)", $0) })
  }

  private static func threads(_ text: String) throws(InvalidValue) -> Int? {
    text == "auto" ? nil : try ValueText.integer(text, in: 1...256)
  }

  /// As chmod(1) takes them: `0660`.
  private static func permissions(_ text: String) throws(InvalidValue) -> UInt32 {
    let isOctal = text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "7")).contains($0) }
    guard isOctal, (3...4).contains(text.utf8.count), let mode = UInt32(text, radix: 8), mode <= 0o777 else {
      throw InvalidValue("is \(text.quotedForMessage), which are no permissions in octal, such as 0660")
    }
    return mode
  }

  /// `GET /api/v1/credits/_ping 200`.
  static func probe(_ text: String) throws(InvalidValue) -> Probe {
    let words = text.utf8.split(whereSeparator: ValueText.isBlank).map { String(Substring($0)) }
    guard words.count == 3, words[1].hasPrefix("/") else {
      throw InvalidValue(
        "is \(text.quotedForMessage), which is not 'METHOD /target STATUS', such as 'GET /ping 200'")
    }
    let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    guard methods.contains(words[0]) else {
      throw InvalidValue(
        "has the method \(words[0].quotedForMessage), which is none of \(methods.joined(separator: ", "))"
          + NearestName.hint(for: words[0], among: methods))
    }
    guard words[1].utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "#") }) else {
      throw InvalidValue("has the target \(words[1].quotedForMessage), which is not percent-encoded")
    }
    guard words[2].utf8.count == 3, let status = Int(words[2]), (200...599).contains(status) else {
      throw InvalidValue("has the status \(words[2].quotedForMessage), which is not in 200...599")
    }
    return Probe(method: words[0], target: words[1], status: status)
  }
}
