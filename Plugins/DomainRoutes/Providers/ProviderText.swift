/// A provider's own words, fit for users and for the log.
enum ProviderText {
  /// At most 200 characters, none of them a control character.
  static func printable(_ text: String) -> String {
    let fit = text.unicodeScalars.prefix(200).filter { $0.properties.generalCategory != .control }
    return String(String.UnicodeScalarView(fit))
  }
}
