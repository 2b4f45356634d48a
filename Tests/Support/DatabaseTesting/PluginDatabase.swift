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
  /// On PostgreSQL: its name, and whose it is.
  private let name: String
  private let server: PostgreSQLServer?
  private let isOwner: Bool

  /// One that another process has made, and removes.
  public init(setting: String, directory: String) {
    self.setting = setting
    self.directory = directory
    backend = setting == "sqlite" ? .sqlite : .postgreSQL
    (name, server, isOwner) = ("", nil, false)
  }

  public convenience init(_ backend: Backend) throws {
    try self.init(backend, server: backend == .postgreSQL ? .shared() : nil)
  }

  /// A database of a server that the test may stop.
  public convenience init(on server: PostgreSQLServer) throws { try self.init(.postgreSQL, server: server) }

  private init(_ backend: Backend, server: PostgreSQLServer?) throws {
    self.backend = backend
    self.server = server
    isOwner = true
    directory = FileManager.default.temporaryDirectory.appendingPathComponent("plugin-\(UUID())").path
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    name = try server?.makeDatabase() ?? ""
    setting = server?.url(name) ?? "sqlite"
  }

  deinit {
    guard isOwner else { return }
    do {
      try FileManager.default.removeItem(atPath: directory)
      try server?.drop(name)
    } catch {
      print("a test's database is left behind: \(error)")
    }
  }
}
