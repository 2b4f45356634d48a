/// Why a CORS policy is refused before it is ever used: it is malformed, or it would open more than its
/// author sees.
///
/// `description` is one sentence for the operator: what was written, what is wrong with it, what to write
/// instead.
public enum CORSPolicyError: Error, Equatable, Sendable, CustomStringConvertible {
  /// An entry of `origins` is no origin pattern.
  case malformedOrigin(String, reason: String)
  /// An entry of `origins` stands for every site below a suffix under which anyone can register.
  case publicSuffix(String)
  /// Credentials for every origin.
  case credentialsForAnyOrigin
  /// Credentials for `null`, which every sandboxed frame of every site has for an origin.
  case credentialsForNullOrigin
  /// With credentials, a browser takes `*` in `list` for a literal name, so that it allows nothing.
  case wildcardWithCredentials(list: String)
  /// Every site could reach into a private network through its visitors' browsers.
  case privateNetworkForAnyOrigin(String)
  /// An entry of `methods` is not a token (RFC 9110 section 9.1), or names a method that browsers forbid.
  case malformedMethod(String, reason: String)
  /// An entry of `list` is no field name (RFC 9110 section 5.1).
  case malformedFieldName(String, list: String)
  /// `maxAge` is below zero.
  case negativeMaxAge

  public var description: String {
    switch self {
    case .malformedOrigin(let text, let reason):
      "origin \"\(text)\": \(reason)"
    case .publicSuffix(let text):
      "origin \"\(text)\" stands for every site below a public suffix, where anyone can have one; "
        + "name the hosts, or use \"*\" without credentials"
    case .credentialsForAnyOrigin:
      "credentials can not go with origin \"*\": any site could act as the signed-in user; name the origins"
    case .credentialsForNullOrigin:
      "credentials can not go with origin \"null\": any site gets that origin in a sandboxed frame"
    case .wildcardWithCredentials(let list):
      "with credentials, browsers take \"*\" in \(list) for a literal name; list the names"
    case .privateNetworkForAnyOrigin(let origin):
      "private-network can not go with origin \"\(origin)\": any site could reach into the private network; "
        + "name the origins"
    case .malformedMethod(let text, let reason):
      "method \"\(text)\": \(reason)"
    case .malformedFieldName(let text, let list):
      "\"\(text)\" in \(list) is no field name"
    case .negativeMaxAge:
      "max-age is below zero"
    }
  }
}
