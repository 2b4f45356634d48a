import Foundation
import Testing

/// What the tests of a plugin with a database run on: every one of them on both.
public enum Backend: String, CaseIterable, Sendable, CustomTestStringConvertible {
  case sqlite
  case postgreSQL

  public var testDescription: String { rawValue }
}

/// What a plugin under test keeps its data in: an empty directory, and an empty database; removed with this value.
public final class PluginDatabase: Sendable {
  public let backend: Backend
  /// The plugin's state directory.
  public let directory: String
  /// The value of the plugin's setting `database`.
  public let setting: String
  /// On PostgreSQL.
  private let name: String

  public init(_ backend: Backend) throws {
    self.backend = backend
    directory = FileManager.default.temporaryDirectory.appendingPathComponent("plugin-\(UUID())").path
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    switch backend {
    case .sqlite: (name, setting) = ("", "sqlite")
    case .postgreSQL:
      let server = try PostgreSQLServer.shared()
      name = try server.makeDatabase()
      setting = server.url(name)
    }
  }

  deinit {
    do {
      try FileManager.default.removeItem(atPath: directory)
      if backend == .postgreSQL { try PostgreSQLServer.shared().drop(name) }
    } catch {
      print("a test's database is left behind: \(error)")
    }
  }
}
