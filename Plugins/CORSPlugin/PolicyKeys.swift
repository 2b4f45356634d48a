import CORSPolicy

/// The keys of one policy.
struct PolicyKeys: Sendable, Equatable {
  var origins: [String] = []
  var methods: [String] = []
  var headers: [String] = []
  var expose: [String] = []
  var credentials = false
  var maxAge = Duration.seconds(600)
  var privateNetwork = false

  static let names = ["origins", "methods", "headers", "expose", "credentials", "max-age", "private-network"]

  func compiled() throws(CORSPolicyError) -> CORSPolicy {
    try CORSPolicy(
      origins: origins, methods: methods, headers: headers, exposedHeaders: expose,
      allowsCredentials: credentials,
      maxAge: maxAge, allowsPrivateNetwork: privateNetwork)
  }

  /// Sets one key from its text.
  ///
  /// - Returns: what is wrong with it, or nil.
  mutating func set(_ key: Substring, to value: Substring) -> String? {
    switch key {
    case "origins": origins = items(value)
    case "methods": methods = items(value)
    case "headers": headers = items(value)
    case "expose": expose = items(value)
    case "credentials", "private-network":
      guard let isOn = boolean(value) else { return "\(key) is true or false, not \"\(value)\"" }
      if key == "credentials" { credentials = isOn } else { privateNetwork = isOn }
    case "max-age":
      guard let duration = duration(value) else {
        return "max-age is a duration like 90s or 10m, not \"\(value)\""
      }
      maxAge = duration
    default: return "there is no key \"\(key)\"; there are \(Self.names.joined(separator: ", "))"
    }
    return nil
  }
}

private func items(_ value: Substring) -> [String] { value.split(separator: ",").map(String.init) }

private func boolean(_ value: Substring) -> Bool? {
  switch value {
  case "true", "yes", "on": true
  case "false", "no", "off": false
  default: nil
  }
}

/// As in the rest of the file: `250ms`, `5s`, `2m`, `1h`, `7d`; and `0`.
private func duration(_ value: Substring) -> Duration? {
  if value == "0" { return .zero }
  let digits = value.prefix { $0.isASCII && $0.isNumber }
  guard let number = Int64(digits), number <= 1_000_000_000 else { return nil }
  switch value[digits.endIndex...] {
  case "ms": return .milliseconds(number)
  case "s": return .seconds(number)
  case "m": return .seconds(number * 60)
  case "h": return .seconds(number * 3600)
  case "d": return .seconds(number * 86_400)
  default: return nil
  }
}
