import FoundationEssentials

/// Ids of objects: UUIDs (RFC 9562) in lower case.
public enum Identifier {
  /// A new random UUID, version 4, from the system's generator.
  public static func make() -> String {
    UUID().uuidString.lowercased()
  }

  /// The id in lower case; nil if the text is no UUID in its 36-character form.
  public static func canonical(_ text: String) -> String? {
    UUID(uuidString: text)?.uuidString.lowercased()
  }
}
