import Glibc

/// Which configuration a command is about: what `--config` says, or BULKHEAD_CONFIG, or the first file that there is of
/// `plugins.conf` in the working directory and `/etc/bulkhead/plugins.conf`.
enum ConfigurationLocation {
  static let variable = "BULKHEAD_CONFIG"
  static let places = ["plugins.conf", "/etc/bulkhead/plugins.conf"]

  /// - Parameters:
  ///   - given: by `--config`.
  ///   - exists: whether there is something of that name, readable or not: what is there and broken is not passed over.
  /// - Returns: the first place, if there is no file.
  static func path(
    given: String?, environment: [String: String] = Environment.all, exists: (String) -> Bool = isThere
  ) -> String {
    if let given { return given }
    if let named = environment[variable], !named.isEmpty { return named }
    return places.first(where: exists) ?? places[0]
  }

  static func isThere(_ path: String) -> Bool { access(path, F_OK) == 0 || errno != ENOENT }
}
