/// One state of the configuration, as generations are made from it.
struct Revision: Sendable {
  let number: Int
  let source: ConfigurationSource
  let listeners: [ListenerSet.Open]
  /// What the libraries' files were when a generation was last made from it, by path.
  var files: [String: LibraryStore.File] = [:]

  var configuration: Configuration { source.configuration }

  /// True if the other would be served the same: the text, what the environment and files put in, and the libraries.
  func isSame(as other: ConfigurationSource, files: [String: LibraryStore.File]) -> Bool {
    source.text == other.text && "\(source.configuration)" == "\(other.configuration)"
      && self.files.mapValues(\.sha256) == files.mapValues(\.sha256)
  }
}

/// Whether the file as it is now is what serves.
enum ConfigurationStatus: Sendable, Equatable {
  case active
  case rejected(String)

  var name: String {
    switch self {
    case .active: "active"
    case .rejected: "rejected"
    }
  }

  var error: String? {
    if case .rejected(let text) = self { text } else { nil }
  }
}
