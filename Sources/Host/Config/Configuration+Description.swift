/// A configuration as an operator may see it.
extension Configuration {
  struct DescribedSection: Sendable, Equatable {
    /// As in the file: `[plugin auth]`.
    var title: String
    var values: [DescribedValue]
  }

  struct DescribedValue: Sendable, Equatable {
    var key: String
    var value: String
  }

  static let redacted = "[redacted]"

  /// Every section with every value, defaults included, in the order of the file; secrets are redacted.
  ///
  /// - Parameters:
  ///   - schemas: of the plugins that could be loaded, by the plugin's name. The own keys of a plugin that is not among
  ///     them may all be secrets, and so may a key that its schema does not know.
  ///   - deciders: the plugins that decide CORS, by name: what they take over from `[cors]` is shown as theirs.
  func describe(schemas: [String: [SettingSchema]], deciders: Set<String> = []) -> [DescribedSection] {
    var sections = [DescribedSection(title: "[host]", values: host.described)]
    if let corsSettings {
      sections.append(DescribedSection(title: "[cors]", values: corsSettings.described))
    }
    for var plugin in plugins {
      plugin.settings = CORSInheritance.settings(
        plugin.settings, from: corsEntries, schema: schemas[plugin.name] ?? [],
        decidesCORS: deciders.contains(plugin.name))
      let own = plugin.describedSettings(schema: schemas[plugin.name])
      sections.append(DescribedSection(title: "[plugin \(plugin.name)]", values: plugin.described + own))
    }
    return sections
  }

  /// Without the password of `scheme://user:password@host`: a setting may be no secret as a whole and yet hold one.
  static func withoutPassword(_ text: String) -> String {
    let bytes = Array(text.utf8)
    guard let scheme = bytes.indices.first(where: { bytes[$0...].starts(with: "://".utf8) }) else {
      return text
    }
    let authority = bytes[(scheme + 3)...].prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
    // A password may hold what should have been encoded: the last '@' ends it, also past the authority.
    guard let at = authority.lastIndex(of: UInt8(ascii: "@")) ?? bytes.lastIndex(of: UInt8(ascii: "@")),
      let colon = bytes[(scheme + 3)..<max(at, scheme + 3)].firstIndex(of: UInt8(ascii: ":"))
    else { return text }
    let start = String(decoding: bytes[...colon], as: UTF8.self)
    return start + redacted + String(decoding: bytes[at...], as: UTF8.self)
  }
}

extension HostConfiguration {
  fileprivate var described: [Configuration.DescribedValue] {
    var values = listen.map { Configuration.DescribedValue(key: "listen", value: $0.text) }
    func add(_ key: String, _ value: String) { values.append(.init(key: key, value: value)) }
    if let socketMode {
      let digits = String(socketMode, radix: 8)
      add("socket-mode", String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits)
    }
    add("threads", threads.map { String($0) } ?? "auto")
    add("plugin-path", pluginPath)
    add("state-dir", stateDirectory)
    switch diagnostics {
    case .loopback: add("diagnostics", "loopback")
    case .public: add("diagnostics", "public")
    case .off: add("diagnostics", "off")
    case .token: add("diagnostics", "token")
    }
    if adminToken != nil { add("admin-token", Configuration.redacted) }
    add("trusted-proxies", trustedProxies.map(\.text).joined(separator: ", "))
    add("log-format", logFormat.rawValue)
    add("log-level", "\(logLevel)")
    add("max-head", ValueText.render(size: maxHead))
    add("max-body", ValueText.render(size: maxBody))
    add("head-timeout", ValueText.render(headTimeout))
    add("body-timeout", ValueText.render(bodyTimeout))
    add("idle-timeout", ValueText.render(idleTimeout))
    add("drain-timeout", ValueText.render(drainTimeout))
    add("request-timeout", ValueText.render(requestTimeout))
    add("start-timeout", ValueText.render(startTimeout))
    for probe in probes { add("probe", "\(probe.method) \(probe.target) \(probe.status)") }
    add("max-rss", ValueText.render(size: maxResidentSize))
    return values
  }
}

extension CORSConfiguration {
  fileprivate var described: [Configuration.DescribedValue] {
    [
      .init(key: "origins", value: origins.joined(separator: ", ")),
      .init(key: "methods", value: methods.joined(separator: ", ")),
      .init(key: "headers", value: headers.joined(separator: ", ")),
      .init(key: "expose", value: exposedHeaders.joined(separator: ", ")),
      .init(key: "credentials", value: "\(allowsCredentials)"),
      .init(key: "max-age", value: ValueText.render(maxAge)),
      .init(key: "private-network", value: "\(allowsPrivateNetwork)"),
    ]
  }
}

extension PluginConfiguration {
  fileprivate var described: [Configuration.DescribedValue] {
    var values: [Configuration.DescribedValue] = []
    func add(_ key: String, _ value: String) { values.append(.init(key: key, value: value)) }
    add("library", library)
    if let mount { add("mount", mount.isEmpty ? "/" : mount) }
    add("applies-to", appliesTo.rawValue)
    if !paths.isEmpty { add("paths", paths.map(\.text).joined(separator: ", ")) }
    if !except.isEmpty { add("except", except.map(\.text).joined(separator: ", ")) }
    add("on-failure", onFailure.rawValue)
    if let timeout { add("timeout", ValueText.render(timeout)) }
    if let startTimeout { add("start-timeout", ValueText.render(startTimeout)) }
    let window = quarantineAfter.window == .zero ? "" : "/\(ValueText.render(quarantineAfter.window))"
    add("quarantine-after", "\(quarantineAfter.count)\(window)")
    let backoff = recover.map { "\(ValueText.render($0.initial))..\(ValueText.render($0.maximum))" }
    add("recover", backoff ?? "never")
    add("probation", ValueText.render(probation))
    add("heavy", "\(isHeavy)")
    add("required", "\(isRequired)")
    add("mode", mode.rawValue)
    if let sha256 { add("sha256", sha256) }
    return values
  }

  fileprivate func describedSettings(schema: [SettingSchema]?) -> [Configuration.DescribedValue] {
    guard let schema else {
      return settings.map { .init(key: $0.key, value: Configuration.redacted) }
    }
    func shown(_ text: String, _ entry: SettingSchema?) -> String {
      guard let entry, !entry.isSecret else { return Configuration.redacted }
      return Configuration.withoutPassword(text)
    }
    let entries = Dictionary(schema.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    let given = settings.map { setting in
      Configuration.DescribedValue(key: setting.key, value: shown(setting.value, entries[setting.key]))
    }
    let keys = Set(settings.map(\.key))
    let defaults = schema.compactMap { entry -> Configuration.DescribedValue? in
      guard let text = entry.defaultText, !keys.contains(entry.name) else { return nil }
      return .init(key: entry.name, value: shown(text, entry))
    }
    return given + defaults
  }
}
