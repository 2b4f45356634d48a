import Foundation
import PluginTesting

extension TemporaryDirectory {
  /// A copy of a plugin's library for a test to write over, which finds Swift's libraries as it does where it comes from.
  ///
  /// - Parameters:
  ///   - name: `FaultPlugin` is `libFaultPlugin.so` of the tree that is driven.
  ///   - mark: bytes at its end that no loader looks at: the same code with another digest.
  /// - Returns: the copy's path.
  @discardableResult
  func copyLibrary(_ name: String, as file: String, mode: Int = 0o755, mark: String = "") throws -> String {
    let swift = path + "/swift"
    // An installed library looks for them beside itself.
    if ReleaseBuild.isInstalled, !FileManager.default.fileExists(atPath: swift) {
      try FileManager.default.createSymbolicLink(
        atPath: swift, withDestinationPath: ReleaseBuild.pluginPath + "/swift")
    }
    let bytes = try Data(contentsOf: URL(fileURLWithPath: ReleaseBuild.library(name)))
    return try write(file, [UInt8](bytes) + Array(mark.utf8), mode: mode)
  }
}
