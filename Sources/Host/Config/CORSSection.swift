import CORSPolicy

/// What `[cors]` says, as it is shown; `CORSPolicy` is what it means.
///
/// | key | values | default |
/// | --- | --- | --- |
/// | `origins` | list of origin patterns | none |
/// | `methods` | list, besides GET, HEAD and POST | none |
/// | `headers` | list of request fields | none |
/// | `expose` | list of response fields | none |
/// | `credentials` | boolean | `false` |
/// | `max-age` | 0...30d, whole seconds | `10m` |
/// | `private-network` | boolean | `false` |
struct CORSConfiguration: Sendable, Equatable {
  var origins: [String] = []
  var methods: [String] = []
  var headers: [String] = []
  var exposedHeaders: [String] = []
  var allowsCredentials = false
  var maxAge = Duration.seconds(600)
  var allowsPrivateNetwork = false

  func policy() throws(CORSPolicyError) -> CORSPolicy {
    try CORSPolicy(
      origins: origins, methods: methods, headers: headers, exposedHeaders: exposedHeaders,
      allowsCredentials: allowsCredentials, maxAge: maxAge, allowsPrivateNetwork: allowsPrivateNetwork)
  }
}

/// The `[cors]` section: text to a policy.
enum CORSSection {
  static let keys = SectionReader.Keys(
    single: ["origins", "methods", "headers", "expose", "credentials", "max-age", "private-network"])

  /// The policy is nil if it is unsafe or malformed, which has been complained of.
  static func read(_ reader: inout SectionReader) -> (CORSConfiguration, CORSPolicy?) {
    var cors = CORSConfiguration()
    // Each item is tried by itself first, so that every malformed one is named.
    cors.origins = items("origins", \.origins, &reader)
    cors.methods = items("methods", \.methods, &reader)
    cors.headers = items("headers", \.headers, &reader)
    cors.exposedHeaders = items("expose", \.exposedHeaders, &reader)
    cors.allowsCredentials = reader.value("credentials", ValueText.boolean) ?? false
    cors.allowsPrivateNetwork = reader.value("private-network", ValueText.boolean) ?? false
    cors.maxAge = reader.duration("max-age", in: .zero ... .seconds(30 * 86_400)) ?? cors.maxAge
    guard reader.errors.isEmpty, reader.section.unreadableKeys.isEmpty else { return (cors, nil) }
    do throws(CORSPolicyError) {
      return (cors, try cors.policy())
    } catch {
      reader.complain("[cors]: \(error)", reader.line(of: key(of: error)) ?? reader.section.line)
      return (cors, nil)
    }
  }

  private static func items(
    _ key: String, _ property: WritableKeyPath<CORSConfiguration, [String]>, _ reader: inout SectionReader
  ) -> [String] {
    let items = reader.list(key) { item throws(InvalidValue) in
      var alone = CORSConfiguration()
      alone[keyPath: property] = [item]
      do throws(CORSPolicyError) { _ = try alone.policy() } catch {
        throw InvalidValue("is refused: \(error)")
      }
      return item
    }
    return items ?? []
  }

  /// The key whose line the operator has to change.
  private static func key(of error: CORSPolicyError) -> String {
    switch error {
    case .malformedOrigin, .publicSuffix: "origins"
    case .credentialsForAnyOrigin, .credentialsForNullOrigin: "credentials"
    case .wildcardWithCredentials(let list), .malformedFieldName(_, let list): list
    case .privateNetworkForAnyOrigin: "private-network"
    case .malformedMethod: "methods"
    case .negativeMaxAge: "max-age"
    }
  }
}
