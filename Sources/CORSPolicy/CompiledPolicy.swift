/// A policy as deciding needs it: patterns to match, and every field value that does not depend on the
/// request as bytes.
final class CompiledPolicy: Sendable {
  static let wildcard = Array("*".utf8)
  static let yes = Array("true".utf8)
  /// Fetch, "CORS-safelisted method".
  static let safelistedMethods = ["GET", "HEAD", "POST"].map { Array($0.utf8) }
  /// Fetch, "CORS-safelisted request-header". A browser asks for one of these only when its value is out of
  /// the ordinary (`Content-Type: application/json`); an origin that is allowed at all may send that.
  static let safelistedHeaders = ["Accept", "Accept-Language", "Content-Language", "Content-Type", "Range"]
  private static let safelistedNames = safelistedHeaders.map { Array($0.lowercased().utf8) }
  /// Fetch, "CORS non-wildcard request-header name".
  private static let authorization = Array("authorization".utf8)

  let allowsAnyOrigin: Bool
  let allowsNullOrigin: Bool
  let patterns: [OriginPattern]
  let allowsAnyMethod: Bool
  let methods: [[UInt8]]
  let allowsAnyHeader: Bool
  /// In lower case.
  let headers: [[UInt8]]
  let allowsCredentials: Bool
  let allowsPrivateNetwork: Bool

  /// Field values; empty for a field that is left out.
  let methodsValue: [UInt8]
  let headersValue: [UInt8]
  /// For a preflight that asks for a safelisted header which is not listed.
  let headersValueWithSafelist: [UInt8]
  let exposedHeaders: [UInt8]
  let maxAge: [UInt8]
  let varyActual: [UInt8]
  let varyPreflight: [UInt8]

  init(
    origins: [String], methods: [String], headers: [String], exposedHeaders: [String],
    allowsCredentials: Bool,
    maxAge: Duration, allowsPrivateNetwork: Bool
  ) throws(CORSPolicyError) {
    try checkReach(of: origins, withCredentials: allowsCredentials, privateNetwork: allowsPrivateNetwork)
    if allowsCredentials {
      for (name, list) in [("methods", methods), ("headers", headers), ("expose", exposedHeaders)]
      where list.contains("*") {
        throw .wildcardWithCredentials(list: name)
      }
    }
    for method in methods { try checkMethod(method) }
    for name in headers where !isToken(name.utf8) { throw .malformedFieldName(name, list: "headers") }
    for name in exposedHeaders where !isToken(name.utf8) { throw .malformedFieldName(name, list: "expose") }
    guard maxAge >= .zero else { throw .negativeMaxAge }

    var patterns: [OriginPattern] = []
    for origin in origins where origin != "*" && origin != "null" {
      patterns.append(try OriginPattern(parsing: origin))
    }
    self.patterns = patterns
    allowsAnyOrigin = origins.contains("*")
    allowsNullOrigin = origins.contains("null")
    allowsAnyMethod = methods.contains("*")
    self.methods = methods.map { Array($0.utf8) } + Self.safelistedMethods
    allowsAnyHeader = headers.contains("*")
    let names = headers.map { Array($0.lowercased().utf8) }
    self.headers = names
    self.allowsCredentials = allowsCredentials
    self.allowsPrivateNetwork = allowsPrivateNetwork

    // Without the field, Fetch would in one case take any method for allowed: so it is never left out.
    let listedMethods = methods.isEmpty ? ["GET", "HEAD", "POST"] : methods
    methodsValue = Array(listedMethods.joined(separator: ", ").utf8)
    headersValue = Array(headers.joined(separator: ", ").utf8)
    let further = Self.safelistedHeaders.filter { !names.contains(Array($0.lowercased().utf8)) }
    headersValueWithSafelist = Array((headers + further).joined(separator: ", ").utf8)
    self.exposedHeaders = Array(exposedHeaders.joined(separator: ", ").utf8)
    self.maxAge = Array(String(maxAge.components.seconds).utf8)

    let requestFields =
      ["Access-Control-Request-Method", "Access-Control-Request-Headers"]
      + (allowsPrivateNetwork ? ["Access-Control-Request-Private-Network"] : [])
    // With "*" the answer is the same for every origin and for none, and caches may share it.
    let origin = allowsAnyOrigin ? [] : ["Origin"]
    varyActual = Array(origin.joined().utf8)
    varyPreflight = Array((origin + requestFields).joined(separator: ", ").utf8)
  }

  /// What in `origins` allows this origin, as written; nil if nothing does.
  func match(_ origin: UnsafeRawBufferPointer?) -> String? {
    if allowsAnyOrigin { return "*" }
    guard let origin else { return nil }
    // By index: iterating would retain and release each pattern.
    for index in patterns.indices where patterns[index].matches(origin) { return patterns[index].text }
    return allowsNullOrigin && origin.elementsEqual("null".utf8) ? "null" : nil
  }

  func allowsMethod(_ method: UnsafeRawBufferPointer) -> Bool {
    for allowed in methods where isEqual(method[...], allowed) { return true }
    return allowsAnyMethod && isToken(method)
  }

  enum HeadersAnswer { case listed, safelisted, refused }

  /// Whether every name in the list is allowed, and whether that takes naming the safelisted ones.
  func allowHeaders(_ list: UnsafeRawBufferPointer) -> HeadersAnswer {
    var needsSafelist = false
    let areAllowed = allElements(of: list) { name in
      for allowed in headers where isEqualIgnoringCase(name, allowed) { return true }
      if allowsAnyHeader, isToken(name), !isEqualIgnoringCase(name, Self.authorization) { return true }
      for allowed in Self.safelistedNames where isEqualIgnoringCase(name, allowed) {
        needsSafelist = true
        return true
      }
      return false
    }
    guard areAllowed else { return .refused }
    return needsSafelist ? .safelisted : .listed
  }
}

/// Refuses what is wide open to everyone and must not be.
private func checkReach(
  of origins: [String], withCredentials: Bool, privateNetwork: Bool
) throws(CORSPolicyError) {
  for origin in ["*", "null"] where origins.contains(origin) {
    if withCredentials { throw origin == "*" ? .credentialsForAnyOrigin : .credentialsForNullOrigin }
    if privateNetwork { throw .privateNetworkForAnyOrigin(origin) }
  }
}

private func checkMethod(_ method: String) throws(CORSPolicyError) {
  guard isToken(method.utf8) else { throw .malformedMethod(method, reason: "is no method name") }
  let upper = method.uppercased()
  if ["CONNECT", "TRACE", "TRACK"].contains(upper) {
    throw .malformedMethod(method, reason: "browsers never send it")
  }
  if method != upper, ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"].contains(upper) {
    throw .malformedMethod(method, reason: "methods are compared with case: write \(upper)")
  }
}
