import Glibc

/// Where a command looks for the running host: the state directories that may be its own, the likeliest first.
///
/// 1. `--state-dir`, or BULKHEAD_STATE_DIR: that one, and no other.
/// 2. The `state-dir` of the configuration, if its `[host]` section can be read so far.
/// 3. What the host that was started with this configuration has written down (`HostRecord`).
/// 4. Of a broken file, what looks like a `state-dir`, and the default.
///
/// To try another is harmless: a command is told to a host only once one has answered there.
struct HostSearch: Sendable {
  struct Place: Sendable, Equatable {
    enum Source: Sendable, Equatable { case given, file, record, guess }
    var directory: String
    var source: Source
  }

  static let variable = "BULKHEAD_STATE_DIR"
  /// The longest `drain-timeout` that there is: for a host whose own is not known.
  static let longestDrain = Duration.seconds(3600)

  private(set) var places: [Place] = []
  /// Nil if the state directory was given.
  private(set) var configuration: String?
  /// Of that configuration.
  private(set) var errors: ConfigurationErrors?
  private(set) var drainTimeout = HostSearch.longestDrain

  init(
    stateDirectory: String?, configuration given: String?, environment: [String: String] = Environment.all,
    living: [HostRecord.Entry]? = nil
  ) {
    let named = environment[HostSearch.variable].flatMap { $0.isEmpty ? nil : $0 }
    if let directory = stateDirectory ?? named {
      add(FilePaths.inWorkingDirectory.resolve(directory), .given)
      return
    }
    let path = ConfigurationLocation.path(given: given, environment: environment)
    configuration = path
    let key = HostRecord.key(ofConfiguration: path)
    let records = (living ?? HostRecord.living(environment: environment)).filter { $0.configuration == key }
    var guesses: [String] = []
    do throws(FileContents.Failure) {
      let bytes = try FileContents.read(path, limit: ConfigurationText.maximumFile, waits: true)
      let reading = ConfigurationFile.read(bytes: bytes, path: path, environment: environment)
      if reading.isStateDirectoryKnown { add(reading.configuration.host.stateDirectory, .file) }
      if !reading.errors.isEmpty { errors = ConfigurationErrors(reading.errors) }
      if reading.isHostKnown { drainTimeout = reading.configuration.host.drainTimeout }
      if !reading.isStateDirectoryKnown {
        guesses = StateDirectoryGuess.directories(in: bytes, of: path, environment: environment)
      }
    } catch {
      errors = ConfigurationErrors([ConfigurationError(path: path, message: "\(error)")])
    }
    for record in records { add(record.stateDirectory, .record) }
    for guess in guesses { add(guess, .guess) }
    if errors != nil {
      let paths = FilePaths(ofFile: FilePaths.inWorkingDirectory.resolve(path))
      add(paths.resolve(HostConfiguration().stateDirectory), .guess)
    }
  }

  private mutating func add(_ directory: String, _ source: Place.Source) {
    guard !places.contains(where: { $0.directory == directory }) else { return }
    places.append(Place(directory: directory, source: source))
  }

  /// The directory to read files in, whether a host runs or not.
  ///
  /// - Parameter holds: whether what is looked for is there.
  func directory(where holds: (String) -> Bool) -> String {
    places.first { holds($0.directory) }?.directory ?? places.first?.directory
      ?? HostConfiguration().stateDirectory
  }

  /// What to say beside a host's answer that was not found where the configuration says; nil if there is nothing to say.
  func note(on place: Place) -> String? {
    guard place.source == .record || place.source == .guess, let configuration else { return nil }
    let why =
      errors.map { "the configuration is broken: \(HostSearch.first(of: $0))" }
      ?? "no host is running on the state directory that \(configuration) names now"
    let whose = place.source == .record ? "the host that was started with it" : "the host"
    return "\(why); \(whose) is asked on the state directory \(place.directory)"
  }

  /// No host answers: what was looked at, why it may have been the wrong place, and what to do.
  func failure(living: [HostRecord.Entry]) -> String {
    let directories = places.map(\.directory).joined(separator: ", ")
    let noun = places.count == 1 ? "directory" : "directories"
    var text = "no host is running on the state \(noun) \(directories)"
    if let errors {
      text =
        "no host is found, since the configuration is broken: \(HostSearch.first(of: errors)); no host is running on "
        + "the state \(noun) \(directories); give the host's own with --state-dir"
    }
    // A right file that names a place where no host runs says all there is to say.
    guard errors != nil || configuration == nil else { return text }
    let others = living.prefix(4).map { "\($0.stateDirectory) (\($0.configuration))" }
    return others.isEmpty
      ? text : "\(text); hosts of this user are running on \(others.joined(separator: ", "))"
  }

  /// The first error, and how many more there are.
  private static func first(of errors: ConfigurationErrors) -> String {
    let count = errors.errors.count + errors.more - 1
    let rest = count == 0 ? "" : " (and \(count) more error\(count == 1 ? "" : "s"))"
    return errors.errors[0].description + rest
  }
}

/// What a file that is broken may still say of `state-dir`: in a section whose name is mistyped, below a header that was never
/// closed, or by a key that is mistyped itself.
enum StateDirectoryGuess {
  private static let key = "state-dir"
  private static let limit = 8

  /// Those by the key's right name first. Keys of plugins are not looked at.
  static func directories(in bytes: [UInt8], of path: String, environment: [String: String]) -> [String] {
    let paths = FilePaths(ofFile: FilePaths.inWorkingDirectory.resolve(path))
    var substitution = Substitution(environment: environment, directory: paths.directory)
    var exact: [String] = []
    var near: [String] = []
    var isPlugins = false
    for line in bytes.split(whereSeparator: { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }) {
      guard exact.count < limit, near.count < limit else { break }
      let line = line.drop(while: ValueText.isBlank)
      if line.first == UInt8(ascii: "[") {
        isPlugins = isPluginHeader(line.dropFirst())
        continue
      }
      guard !isPlugins, let equals = line.firstIndex(of: UInt8(ascii: "=")) else { continue }
      let name = ValueText.trimmed(Substring(String(decoding: line[..<equals], as: UTF8.self)).utf8)
      guard name == key || NearestName.of(name, among: HostSection.keys.all) == key else { continue }
      do throws(InvalidValue) {
        let value = try ValueText.path(try ValueScanner.scan(line[(equals + 1)...], &substitution))
        if name == key { exact.append(paths.resolve(value)) } else { near.append(paths.resolve(value)) }
      } catch {
        // The error is one of the file's, which are told.
        continue
      }
    }
    return exact + near
  }

  private static func isPluginHeader(_ line: ArraySlice<UInt8>) -> Bool {
    let word = line.drop(while: ValueText.isBlank).prefix {
      !ValueText.isBlank($0) && $0 != UInt8(ascii: "]")
    }
    return NearestName.of(String(decoding: word, as: UTF8.self), among: ["host", "cors", "plugin"])
      == "plugin"
  }
}
