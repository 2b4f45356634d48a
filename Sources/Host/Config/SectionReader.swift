/// Takes values out of one section by key, and collects what is wrong with them.
struct SectionReader {
  /// What may stand in a section.
  struct Keys {
    var single: [String]
    var repeatable: [String] = []
    /// Whether other keys are somebody else's to judge.
    var allowsOthers = false

    var all: [String] { single + repeatable }
  }

  let section: ConfigurationText.Section
  private let path: String
  private(set) var errors: [ConfigurationError] = []

  /// Complains at once of unknown keys, and of second ones.
  init(_ section: ConfigurationText.Section, path: String, keys: Keys) {
    self.section = section
    self.path = path
    var firstLines: [String: Int] = [:]
    for entry in section.entries {
      if keys.single.contains(entry.key) {
        if let first = firstLines[entry.key] {
          complain(
            "'\(entry.key)' stands twice in \(section.title); the first is on line \(first)", entry.line)
        } else {
          firstLines[entry.key] = entry.line
        }
      } else if !keys.repeatable.contains(entry.key), !keys.allowsOthers {
        complain(
          "unknown key \(entry.key.quotedForMessage) in \(section.title)"
            + NearestName.hint(for: entry.key, among: keys.all), entry.line)
      }
    }
  }

  /// The value of a key, read by `parse`; nil if the key is not there, or wrong, which has been complained of.
  mutating func value<T>(_ key: String, _ parse: (String) throws(InvalidValue) -> T) -> T? {
    guard let entry = section.entries.first(where: { $0.key == key }) else { return nil }
    return read(entry, parse)
  }

  /// The values of a repeatable key, in the order of the file, less those that are wrong.
  mutating func values<T>(
    _ key: String, _ parse: (String) throws(InvalidValue) -> T
  ) -> [(value: T, line: Int)] {
    var values: [(value: T, line: Int)] = []
    for entry in section.entries where entry.key == key {
      if let value = read(entry, parse) { values.append((value, entry.line)) }
    }
    return values
  }

  /// A list of which each wrong item is complained of.
  mutating func list<T>(_ key: String, _ parse: (String) throws(InvalidValue) -> T) -> [T]? {
    guard let entry = section.entries.first(where: { $0.key == key }),
      let items = read(entry, ValueText.list)
    else { return nil }
    var values: [T] = []
    for item in items {
      do throws(InvalidValue) {
        values.append(try parse(item))
      } catch {
        complain("'\(key)' \(error.problem)", entry.line)
      }
    }
    return values
  }

  mutating func choice<T: RawRepresentable<String> & CaseIterable>(_ key: String, of type: T.Type) -> T? {
    value(key) { text throws(InvalidValue) in try ValueText.choice(text, of: type) }
  }

  mutating func duration(_ key: String, in range: ClosedRange<Duration>) -> Duration? {
    value(key) { text throws(InvalidValue) in try ValueText.duration(text, in: range) }
  }

  mutating func size(_ key: String, in range: ClosedRange<Int>) -> Int? {
    value(key) { text throws(InvalidValue) in try ValueText.size(text, in: range) }
  }

  func has(_ key: String) -> Bool {
    section.entries.contains { $0.key == key } || section.unreadableKeys.contains(key)
  }

  func line(of key: String) -> Int? { section.entries.first { $0.key == key }?.line }

  mutating func complain(_ message: String, _ line: Int?) {
    errors.append(ConfigurationError(path: path, line: line, message: message))
  }

  private mutating func read<T>(
    _ entry: ConfigurationText.Entry, _ parse: (String) throws(InvalidValue) -> T
  ) -> T? {
    do throws(InvalidValue) {
      return try parse(entry.value)
    } catch {
      complain("'\(entry.key)' \(error.problem)", entry.line)
      return nil
    }
  }
}
