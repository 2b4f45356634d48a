/// Which middleware is switched off for all requests, in an emergency.
///
/// Routers, built-ins and CORS go on. Access is still enforced, so with the auth plugin bypassed a protected route
/// answers 401.
enum Bypass: String, Sendable, CaseIterable {
  case off
  /// What is marked `heavy`.
  case heavy
  /// All middleware.
  case all

  static let allVariable = "BYPASS_ALL_MIDDLEWARE"
  static let heavyVariable = "DISABLE_HEAVY_MIDDLEWARE"

  /// What the environment asks for. Any case of true, yes, on and 1, or false, no, off, 0 and empty.
  static func requested(by environment: [String: String]) -> Result<Bypass, ConfigurationErrors> {
    var errors: [ConfigurationError] = []
    func isOn(_ name: String) -> Bool {
      guard let value = environment[name] else { return false }
      switch value.lowercased() {
      case "true", "yes", "on", "1": return true
      case "false", "no", "off", "0", "": return false
      default:
        errors.append(
          ConfigurationError(
            path: "environment",
            message: "\(name) is \(value.quotedForMessage), which is neither true nor false"))
        return false
      }
    }
    let all = isOn(allVariable)
    let heavy = isOn(heavyVariable)
    if !errors.isEmpty { return .failure(ConfigurationErrors(errors)) }
    return .success(all ? .all : heavy ? .heavy : .off)
  }
}
