/// A `[plugin NAME]` section: text to values. Keys that are not listed here are the plugin's own.
///
/// | key | values | default |
/// | --- | --- | --- |
/// | `library` | bare name, file name or path | required |
/// | `mount` | path without wildcards | none |
/// | `applies-to` | `routes`, `protected`, `public`, `all` | `routes` |
/// | `paths`, `except` | list of patterns | every path, none |
/// | `on-failure` | `closed`, `open` | `closed` |
/// | `timeout` | 1ms...1h | 2s in middleware, 30s in a route |
/// | `start-timeout` | 1ms...1h | the host's |
/// | `quarantine-after` | `N`, or `N/WINDOW` | `1` |
/// | `recover` | `never`, `TIME`, or `TIME..MAXIMUM` | `1s..60s` |
/// | `probation` | 0...1d | `60s` |
/// | `heavy`, `required` | boolean | `false` |
/// | `mode` | `enforce`, `shadow`, `off` | `enforce` |
/// | `sha256` | 64 hexadecimal digits | none |
enum PluginSection {
  static let keys = SectionReader.Keys(
    single: [
      "library", "mount", "applies-to", "paths", "except", "on-failure", "timeout", "start-timeout",
      "quarantine-after", "recover", "probation", "heavy", "required", "mode", "sha256",
    ],
    allowsOthers: true)

  /// In bytes.
  static let maximumName = 32

  /// - Parameter pluginPath: where a bare library name is looked up.
  static func read(_ reader: inout SectionReader, pluginPath: String, paths: FilePaths) -> PluginConfiguration
  {
    let title = reader.section.title
    var plugin = PluginConfiguration(name: reader.section.name, line: reader.section.line)
    if let problem = complaint(ofName: plugin.name) { reader.complain(problem, plugin.line) }
    if let library = reader.value("library", library) {
      plugin.library = library
      plugin.libraryPath = libraryPath(library, pluginPath: pluginPath, paths: paths)
    } else if !reader.has("library"), !complainOfSlip(for: "library", &reader) {
      reader.complain("\(title) has no 'library'", plugin.line)
    }
    readScope(&reader, into: &plugin)
    readFailurePolicy(&reader, into: &plugin)
    plugin.isHeavy = reader.value("heavy", ValueText.boolean) ?? false
    plugin.isRequired = reader.value("required", ValueText.boolean) ?? false
    plugin.mode = reader.choice("mode", of: PluginMode.self) ?? .enforce
    plugin.sha256 = reader.value("sha256", digest)
    readSettings(&reader, into: &plugin)
    return plugin
  }

  /// Complains of the key that was most likely meant to be `key`, which is missing. False if there is none.
  private static func complainOfSlip(for key: String, _ reader: inout SectionReader) -> Bool {
    // With a value that could not be read, of which there is a complaint.
    if reader.section.unreadableKeys.contains(where: { means(key, $0) }) { return true }
    guard let slip = reader.section.entries.first(where: { means(key, $0.key) }) else { return false }
    // Of another spelling `readSettings` complains.
    let title = reader.section.title
    if isKebabCase(slip.key) {
      reader.complain(
        "unknown key \(slip.key.quotedForMessage) in \(title); did you mean '\(key)'?",
        slip.line)
    }
    return true
  }

  private static func means(_ key: String, _ written: String) -> Bool {
    !keys.contains(written) && NearestName.of(written, among: keys.all) == key
  }

  private static func readScope(_ reader: inout SectionReader, into plugin: inout PluginConfiguration) {
    plugin.mount = reader.value("mount", mount)
    plugin.appliesTo = reader.choice("applies-to", of: Scope.self) ?? .routes
    plugin.declaresScope = ["applies-to", "paths", "except"].contains { reader.has($0) }
    plugin.paths = reader.list("paths", PathPattern.parse) ?? []
    plugin.except = reader.list("except", PathPattern.parse) ?? []
  }

  private static func readFailurePolicy(_ reader: inout SectionReader, into plugin: inout PluginConfiguration)
  {
    plugin.onFailure = reader.choice("on-failure", of: FailurePolicy.self) ?? .closed
    plugin.timeout = reader.duration("timeout", in: .milliseconds(1) ... .seconds(3600))
    plugin.startTimeout = reader.duration("start-timeout", in: .milliseconds(1) ... .seconds(3600))
    plugin.quarantineAfter = reader.value("quarantine-after", faultThreshold) ?? plugin.quarantineAfter
    if let recover = reader.value("recover", backoff) { plugin.recover = recover }
    plugin.probation = reader.duration("probation", in: .zero ... .seconds(86_400)) ?? plugin.probation
  }

  private static func readSettings(_ reader: inout SectionReader, into plugin: inout PluginConfiguration) {
    let title = reader.section.title
    let isSlip = plugin.library.isEmpty && !reader.has("library")
    for entry in reader.section.entries where !keys.contains(entry.key) {
      // Which has been complained of.
      if isSlip, isKebabCase(entry.key), means("library", entry.key) { continue }
      guard isKebabCase(entry.key) else {
        reader.complain(
          "\(entry.key.quotedForMessage) in \(title) is no key: keys are of a-z, 0-9 and '-'"
            + NearestName.hint(for: entry.key, among: keys.all), entry.line)
        continue
      }
      plugin.settings.append(RawSetting(key: entry.key, value: entry.value, line: entry.line))
    }
  }
}

// MARK: Values

extension PluginSection {
  /// `a-z`, then letters, digits and '-'.
  static func isKebabCase(_ text: String) -> Bool {
    let letters = UInt8(ascii: "a")...UInt8(ascii: "z")
    guard let first = text.utf8.first, letters.contains(first) else { return false }
    return text.utf8.allSatisfy { letters.contains($0) || ValueText.isDigit($0) || $0 == UInt8(ascii: "-") }
  }

  private static func complaint(ofName name: String) -> String? {
    if name.isEmpty { return "the section needs the plugin's name: [plugin NAME]" }
    if !isKebabCase(name) {
      return "the plugin's name \(name.quotedForMessage) must begin with a letter, and be of a-z, 0-9 and '-'"
    }
    if name.utf8.count > maximumName {
      return "the plugin's name \(name.quotedForMessage) is longer than \(maximumName) bytes"
    }
    return nil
  }

  private static func library(_ text: String) throws(InvalidValue) -> String {
    let text = try ValueText.path(text)
    guard text.utf8.count <= 4095, !text.hasSuffix("/") else {
      throw InvalidValue("is \(text.quotedForMessage), which names no file")
    }
    return text
  }

  /// `NAME` is `plugin-path/libNAME.so`, `libNAME.so` a file there; what has a slash is a path.
  static func libraryPath(_ library: String, pluginPath: String, paths: FilePaths) -> String {
    if library.contains("/") { return paths.resolve(library) }
    let file = library.hasSuffix(".so") ? library : "lib\(library).so"
    return FilePaths(directory: pluginPath).resolve(file)
  }

  private static func mount(_ text: String) throws(InvalidValue) -> String {
    let mount = try PathPattern.parseMount(text)
    let first = mount.utf8.dropFirst().prefix { $0 != UInt8(ascii: "/") }
    if first.starts(with: "__".utf8) || first.elementsEqual("health".utf8)
      || first.elementsEqual("metrics".utf8)
    {
      throw InvalidValue(
        "has \(text.quotedForMessage), where the host's own /health, /metrics and /__… answer")
    }
    return mount
  }

  /// `5/10s`, or `1`.
  private static func faultThreshold(_ text: String) throws(InvalidValue) -> FaultThreshold {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    let count = try ValueText.integer(ValueText.trimmed(parts[0].utf8), in: 1...1000)
    guard parts.count == 2 else {
      guard count == 1 else {
        throw InvalidValue("is \(text.quotedForMessage), which has no time to count in: write \(count)/10s")
      }
      return FaultThreshold(count: 1, window: .zero)
    }
    let window = try ValueText.duration(
      ValueText.trimmed(parts[1].utf8), in: .milliseconds(1) ... .seconds(86_400))
    return FaultThreshold(count: count, window: window)
  }

  /// `1s..60s`, `5s` for no doubling, or `never`.
  private static func backoff(_ text: String) throws(InvalidValue) -> Backoff? {
    if text == "never" { return nil }
    let range: ClosedRange<Duration> = .milliseconds(1) ... .seconds(86_400)
    let bytes = text.utf8
    guard let dots = bytes.indices.first(where: { bytes[$0...].starts(with: "..".utf8) }) else {
      guard bytes.first.map(ValueText.isDigit) == true else {
        throw InvalidValue(
          "is \(text.quotedForMessage), which is neither 'never' nor a time such as 1s..60s"
            + NearestName.hint(for: text, among: ["never"]))
      }
      let constant = try ValueText.duration(text, in: range)
      return Backoff(initial: constant, maximum: constant)
    }
    let initial = try ValueText.duration(ValueText.trimmed(text[..<dots].utf8), in: range)
    let end = text[dots...].utf8.dropFirst(2)
    let maximum = try ValueText.duration(ValueText.trimmed(end), in: range)
    guard initial <= maximum else {
      throw InvalidValue("is \(text.quotedForMessage), whose maximum is below its beginning")
    }
    return Backoff(initial: initial, maximum: maximum)
  }

  private static func digest(_ text: String) throws(InvalidValue) -> String {
    let isHexadecimal = text.utf8.allSatisfy { byte in
      ValueText.isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte | 0x20)
    }
    guard text.utf8.count == 64, isHexadecimal else {
      throw InvalidValue(
        "is \(text.quotedForMessage), which is not 64 hexadecimal digits, as sha256sum prints them")
    }
    return text.lowercased()
  }
}
