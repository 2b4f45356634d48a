import Glibc

/// Reads `plugins.conf`.
///
/// Sections `[host]` and `[cors]`, each at most once and each optional, and one `[plugin NAME]` for each plugin, in
/// the order of the pipeline. Grammar: `ConfigurationText` and `ValueScanner`; substitution: `Substitution`; keys:
/// `HostSection`, `CORSSection`, `PluginSection`. Relative paths start at the directory of the file.
enum ConfigurationFile {
  /// What the shared tables of plugin states have room for.
  static let maximumPlugins = 64

  /// Reads a file, and every error in it.
  ///
  /// - Parameters:
  ///   - path: of the file; errors name it as given here, and the paths in the result are absolute.
  ///   - environment: for substitution, `PORT` and the bypass switches.
  ///   - listenOverride: from `--listen`: replaces all of `listen`, and `PORT`; a relative path in it starts at the
  ///     working directory.
  static func load(
    path: String, environment: [String: String], listenOverride: String? = nil
  ) -> Result<Configuration, ConfigurationErrors> {
    read(path: path, environment: environment, listenOverride: listenOverride).result
  }

  /// The same, with what could be made of a file that has errors.
  static func read(
    path: String, environment: [String: String], listenOverride: String? = nil
  ) -> Reading {
    do throws(FileContents.Failure) {
      let bytes = try FileContents.read(path, limit: ConfigurationText.maximumFile, waits: true)
      return read(bytes: bytes, path: path, environment: environment, listenOverride: listenOverride)
    } catch {
      return Reading(
        configuration: Configuration(path: path),
        errors: ConfigurationErrorList(path: path, "\(error)"), isPluginPathKnown: false)
    }
  }

  struct Reading {
    /// Without what is wrong, which is as by default.
    var configuration: Configuration
    var errors: ConfigurationErrorList
    /// False if `plugin-path` is wrong: nobody knows where bare names of libraries would lead.
    var isPluginPathKnown: Bool
    /// Where each plugin's `mount` stands, by the plugin's name.
    var mountLines: [String: Int] = [:]
    /// There is a `[host]` section.
    var isHostKnown = false
    /// The file's `[host]` section says where the host's state is, or the file is right and leaves it at the default.
    var isStateDirectoryKnown = false

    var result: Result<Configuration, ConfigurationErrors> {
      errors.isEmpty ? .success(configuration) : .failure(ConfigurationErrors(errors))
    }
  }

  /// The same from text that was read from `path`, or might have been.
  static func parse(
    text: String, path: String, environment: [String: String] = [:]
  ) -> Result<Configuration, ConfigurationErrors> {
    parse(bytes: Array(text.utf8), path: path, environment: environment)
  }

  /// - Parameter listens: false if the addresses are listened on already: that they can be is no question any more.
  static func parse(
    bytes: [UInt8], path: String, environment: [String: String] = [:], listenOverride: String? = nil,
    listens: Bool = true
  ) -> Result<Configuration, ConfigurationErrors> {
    read(
      bytes: bytes, path: path, environment: environment, listenOverride: listenOverride, listens: listens
    ).result
  }

  static func read(
    bytes: [UInt8], path: String, environment: [String: String] = [:], listenOverride: String? = nil,
    listens: Bool = true
  ) -> Reading {
    let working = FilePaths.inWorkingDirectory
    let resolved = working.resolve(path)
    let paths = FilePaths(ofFile: resolved)
    let text = ConfigurationText(
      reading: bytes, path: path,
      substitution: Substitution(environment: environment, directory: paths.directory))
    var builder = ConfigurationBuilder(path: path, paths: paths)
    builder.errors = text.errors
    if let character = resolved.firstControlCharacter {
      builder.errors.add(
        path: path, line: nil,
        "the file's own path, \(resolved.quotedForMessage), has the control character \(character.codePoint)")
    }
    builder.read(text.sections)
    builder.applyEnvironment(environment, listens: listenOverride == nil)
    if let listenOverride {
      builder.override(listen: listenOverride, paths: working)
    } else if listens {
      builder.checkListeners()
    }
    return Reading(
      configuration: builder.configuration, errors: builder.errors,
      isPluginPathKnown: builder.isPluginPathKnown, mountLines: builder.mountLines,
      isHostKnown: builder.isHostKnown || builder.errors.isEmpty,
      isStateDirectoryKnown: builder.isStateDirectoryGiven || builder.errors.isEmpty)
  }
}

/// Puts sections together, and sees what they cannot: which of them are missing, double, or unknown.
private struct ConfigurationBuilder {
  let path: String
  let paths: FilePaths
  var configuration: Configuration
  var errors = ConfigurationErrorList()
  private(set) var isPluginPathKnown = true
  private(set) var mountLines: [String: Int] = [:]
  private(set) var isHostKnown = false
  private(set) var isStateDirectoryGiven = false
  /// Of the addresses to listen on, where they stand in the file.
  private var listenLines: [Int] = []
  private var isPortGiven = false
  private var hasTooManyPlugins = false

  init(path: String, paths: FilePaths) {
    self.path = path
    self.paths = paths
    configuration = Configuration(path: path)
  }

  mutating func read(_ sections: [ConfigurationText.Section]) {
    // Where bare library names are looked up must be known before the first plugin, wherever [host] stands.
    for section in sections where section.kind == "host" { readHost(section) }
    if seen[["host", ""]] == nil {
      configuration.host.pluginPath = paths.resolve(configuration.host.pluginPath)
      configuration.host.stateDirectory = paths.resolve(configuration.host.stateDirectory)
    }
    if configuration.host.listen.isEmpty { configuration.host.listen = [HostSection.defaultListen] }
    for section in sections where section.kind != "host" {
      switch section.kind {
      case "cors": readCORS(section)
      case "plugin": readPlugin(section)
      default:
        complain(
          "unknown section \(section.title.quotedForMessage)"
            + NearestName.hint(for: section.kind, among: ["host", "cors", "plugin"]), section.line)
      }
    }
  }

  /// The line of each section that was there, by its identity.
  private var seen: [[String]: Int] = [:]

  /// False, with a complaint, if a section of that title was there already.
  private mutating func isFirst(_ section: ConfigurationText.Section) -> Bool {
    if let first = seen[section.identity] {
      complain("\(section.title) stands twice; the first is on line \(first)", section.line)
      return false
    }
    seen[section.identity] = section.line
    return true
  }

  private mutating func checkHasNoName(_ section: ConfigurationText.Section) {
    guard !section.name.isEmpty else { return }
    complain("\(section.title) takes no name; write [\(section.kind)]", section.line)
  }

  private mutating func readHost(_ section: ConfigurationText.Section) {
    checkHasNoName(section)
    var reader = SectionReader(section, path: path, keys: HostSection.keys)
    let host = HostSection.read(&reader, paths: paths)
    errors.add(reader.errors)
    guard isFirst(section) else { return }
    configuration.host = host
    isHostKnown = true
    isStateDirectoryGiven = reader.value("state-dir", ValueText.path) != nil
    listenLines = section.entries.filter { $0.key == "listen" }.map(\.line)
    isPluginPathKnown =
      !reader.has("plugin-path") || reader.value("plugin-path", ValueText.path) != nil
  }

  private mutating func readCORS(_ section: ConfigurationText.Section) {
    checkHasNoName(section)
    var reader = SectionReader(section, path: path, keys: CORSSection.keys)
    let (settings, policy) = CORSSection.read(&reader)
    errors.add(reader.errors)
    if isFirst(section) {
      configuration.corsSettings = settings
      configuration.cors = policy
      guard policy != nil else { return }
      configuration.corsEntries = section.entries.map {
        RawSetting(key: $0.key, value: $0.value, line: $0.line)
      }
    }
  }

  private mutating func readPlugin(_ section: ConfigurationText.Section) {
    var reader = SectionReader(section, path: path, keys: PluginSection.keys)
    let plugin = PluginSection.read(&reader, pluginPath: configuration.host.pluginPath, paths: paths)
    errors.add(reader.errors)
    guard section.name.isEmpty || isFirst(section) else { return }
    guard configuration.plugins.count < ConfigurationFile.maximumPlugins else {
      if !hasTooManyPlugins {
        complain("more than \(ConfigurationFile.maximumPlugins) plugins", section.line)
      }
      hasTooManyPlugins = true
      return
    }
    configuration.plugins.append(plugin)
    mountLines[plugin.name] = reader.line(of: "mount")
  }

  mutating func applyEnvironment(_ environment: [String: String], listens: Bool) {
    switch Bypass.requested(by: environment) {
    case .success(let bypass): configuration.bypass = bypass
    case .failure(let found): errors.add(found)
    }
    guard listens, let text = environment["PORT"], !text.isEmpty else { return }
    do throws(InvalidValue) {
      let port = try ListenAddress.port(text)
      var listen: [ListenAddress] = []
      var lines: [Int] = []
      var seen: Set<ListenAddress> = []
      for (index, address) in configuration.host.listen.map({ $0.withPort(port) }).enumerated()
      where address.isAnyPort || seen.insert(address).inserted {
        listen.append(address)
        if index < listenLines.count { lines.append(listenLines[index]) }
      }
      configuration.host.listen = listen
      listenLines = lines
      isPortGiven = true
    } catch {
      errors.add(path: "environment", line: nil, "PORT \(error.problem)")
    }
  }

  /// Of two addresses, the one that cannot be had beside the other.
  mutating func checkListeners() {
    let listen = configuration.host.listen
    // One that makes no sense has been complained of, and has a line all the same.
    let lines = listenLines
    guard lines.count == listen.count else { return }
    let origin = isPortGiven ? ", by PORT in the environment" : ""
    for (index, first) in ListenAddress.exclusions(among: listen) {
      complain(
        "'listen' has \(listen[index].text.quotedForMessage)\(origin), which cannot be had beside "
          + "\(listen[first].text.quotedForMessage) on line \(lines[first])", lines[index])
    }
  }

  mutating func override(listen text: String, paths: FilePaths) {
    do throws(InvalidValue) {
      configuration.host.listen = [try ListenAddress.parse(text, paths: paths)]
    } catch {
      errors.add(path: "--listen", line: nil, error.problem)
    }
  }

  private mutating func complain(_ message: @autoclosure () -> String, _ line: Int?) {
    errors.add(path: path, line: line, message())
  }
}
