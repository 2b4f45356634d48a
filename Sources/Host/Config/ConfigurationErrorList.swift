/// What is wrong with a configuration, as it is found: the first errors by line are kept, the others only counted, so that a
/// file that is wrong in every line costs no more memory than its reader is shown.
struct ConfigurationErrorList: Sendable, Equatable {
  /// How many errors are shown.
  static let maximum = 50
  /// Of a message, in characters; every value that a message quotes is cut long before that.
  private static let maximumMessage = 1000

  /// Those that may be among the first.
  private var kept: [ConfigurationError] = []
  /// The line of the last that is shown, once there are enough.
  private var lastLine: Int?
  private(set) var count = 0

  init() {}

  /// One error, of the file as a whole.
  init(path: String, _ message: String) { add(path: path, line: nil, message) }

  var isEmpty: Bool { count == 0 }

  /// In the order of their lines, those of one line in the order they were found in; `maximum` at most.
  var first: [ConfigurationError] {
    Array(ConfigurationErrorList.sorted(kept).prefix(ConfigurationErrorList.maximum))
  }

  /// - Parameter message: made only if it may be shown, since looking for the nearest name takes time.
  mutating func add(path: String, line: Int?, _ message: @autoclosure () -> String) {
    count += 1
    if let lastLine, (line ?? 0) >= lastLine { return }
    kept.append(
      ConfigurationError(
        path: path, line: line, message: message().cut(to: ConfigurationErrorList.maximumMessage)))
    guard kept.count >= 2 * ConfigurationErrorList.maximum else { return }
    kept = first
    lastLine = kept.last?.line ?? 0
  }

  mutating func add(_ error: ConfigurationError) {
    add(path: error.path, line: error.line, error.message)
  }

  mutating func add(_ other: ConfigurationErrorList) {
    for error in other.kept { add(error) }
    count += other.count - other.kept.count
  }

  mutating func add(_ errors: ConfigurationErrors) {
    for error in errors.errors { add(error) }
    count += errors.more
  }

  private static func sorted(_ errors: [ConfigurationError]) -> [ConfigurationError] {
    // Sorting is stable.
    errors.sorted { ($0.line ?? 0) < ($1.line ?? 0) }
  }
}
