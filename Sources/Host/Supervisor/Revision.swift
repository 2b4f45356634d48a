/// One state of the configuration, as generations are made from it.
struct Revision: Sendable {
  let number: Int
  let source: ConfigurationSource
  let listeners: [ListenerSet.Open]
  /// What the libraries' files were when it was read, by path: generations are made from these copies, whatever becomes of
  /// the files. Nil before they are looked at.
  var files: [String: LibraryStore.File]?
  /// Why it was read.
  var purpose = ConfigurationReader.Purpose.change
  /// What of it is not taken, as it would take out of service what serves.
  var held: ConfigurationStatus.Held?

  var configuration: Configuration { source.configuration }

  /// The operator wants it, whatever it takes out of service.
  var isForced: Bool { if case .reload(_, isForced: true) = purpose { true } else { false } }

  /// True if the other would be served the same: the text, what the environment and files put in, and the libraries, of which
  /// one that may be loaded no more, or again, is another.
  func isSame(as other: ConfigurationSource, files: [String: LibraryStore.File]) -> Bool {
    source.text == other.text && "\(source.configuration)" == "\(other.configuration)"
      && self.files?.mapValues(\.sha256) == files.mapValues(\.sha256)
      && self.files?.mapValues { $0.copy == nil } == files.mapValues { $0.copy == nil }
  }
}
