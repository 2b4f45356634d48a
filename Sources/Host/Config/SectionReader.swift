/// Takes values out of one section by key, and collects what is wrong with them.
struct SectionReader {
  /// What may stand in a section.
  struct Keys: Sendable {
    let all: [String]
    /// Whether other keys are somebody else's to judge.
    let allowsOthers: Bool
    private let single: Set<String>
    private let known: Set<String>

    init(single: [String], repeatable: [String] = [], allowsOthers: Bool = false) {
      all = single + repeatable
      self.allowsOthers = allowsOthers
      self.single = Set(single)
      known = Set(all)
    }

    func contains(_ key: String) -> Bool { known.contains(key) }
    func isSingle(_ key: String) -> Bool { single.contains(key) }
  }

  let section: ConfigurationText.Section
  private let path: String
  private(set) var errors = ConfigurationErrorList()
  /// Of the known keys, the first entry of each.
  private var firstEntries: [String: ConfigurationText.Entry] = [:]

  /// Complains at once of unknown keys, and of second ones.
  init(_ section: ConfigurationText.Section, path: String, keys: Keys) {
    self.section = section
    self.path = path
    for entry in section.entries {
      if keys.contains(entry.key) {
        guard let first = firstEntries[entry.key] else {
          firstEntries[entry.key] = entry
          continue
        }
        guard keys.isSingle(entry.key) else { continue }
        complain(
          "'\(entry.key)' stands twice in \(section.title); the first is on line \(first.line)", entry.line)
      } else if !keys.allowsOthers {
        complain(
          "unknown key \(entry.key.quotedForMessage) in \(section.title)"
            + NearestName.hint(for: entry.key, among: keys.all), entry.line)
      }
    }
  }

  /// The value of a key, read by `parse`; nil if the key is not there, or wrong, which has been complained of.
  mutating func value<T>(_ key: String, _ parse: (String) throws(InvalidValue) -> T) -> T? {
    guard let entry = firstEntries[key] else { return nil }
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
    guard let entry = firstEntries[key],
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
    firstEntries[key] != nil || section.unreadableKeys.contains(key)
  }

  func line(of key: String) -> Int? { firstEntries[key]?.line }

  mutating func complain(_ message: @autoclosure () -> String, _ line: Int?) {
    errors.add(path: path, line: line, message())
  }

  private mutating func read<T>(
    _ entry: ConfigurationText.Entry, _ parse: (String) throws(InvalidValue) -> T
  ) -> T? {
    do throws(InvalidValue) {
      // What a variable or a file has brought would end a line of the log, of an answer or of what a worker is told.
      if let character = entry.value.firstControlCharacter, character != "\t" {
        throw InvalidValue("holds the control character \(character.codePoint)")
      }
      return try parse(entry.value)
    } catch {
      complain("'\(entry.key)' \(error.problem)", entry.line)
      return nil
    }
  }
}
