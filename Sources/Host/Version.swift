import LinuxShims
import PluginABI

/// What this build calls itself.
enum Version {
  static let host = "0.1.0"
  static let abi = "\(BH_ABI_MAJOR).\(BH_ABI_MINOR)"
  /// The commit it was built from, as the build was told; "unknown" outside a checkout.
  static let commit = String(cString: shim_commit())
  /// The compiler's.
  static var swift: String {
    #if compiler(>=6.4)
      ">=6.4"
    #elseif compiler(>=6.3)
      "6.3"
    #else
      "6.2"
    #endif
  }
}
