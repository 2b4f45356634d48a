/// The configuration with the very text that it was read from.
struct ConfigurationSource: Sendable {
  var configuration: Configuration
  var text: [UInt8]

  /// - Parameter waits: whether the file may be a pipe, as it may before there is anybody who must not wait for it.
  static func read(_ path: String, listenOverride: String?, waits: Bool = false) -> Result<
    ConfigurationSource, ConfigurationErrors
  > {
    let text: [UInt8]
    do throws(FileContents.Failure) {
      text = try FileContents.read(path, limit: ConfigurationText.maximumFile, waits: waits)
    } catch {
      return .failure(ConfigurationErrors([ConfigurationError(path: path, message: "\(error)")]))
    }
    return ConfigurationFile.parse(
      bytes: text, path: path, environment: Environment.all, listenOverride: listenOverride
    ).map { ConfigurationSource(configuration: $0, text: text) }
  }
}

extension PluginConfiguration {
  /// Stands for the section's values and the library's content: an edit of either changes it, one elsewhere in the
  /// file does not.
  func identity(sha256 digest: String?) -> UInt64 {
    var plain = self
    plain.line = 0
    for index in plain.settings.indices { plain.settings[index].line = 0 }
    var hash = IdentityHash()
    hash.add("\(plain)".utf8)
    hash.add((digest ?? "").utf8)
    return max(1, hash.value)
  }
}
