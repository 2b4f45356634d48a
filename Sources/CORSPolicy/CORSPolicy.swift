/// Which other origins may read a resource, and with what: the one engine behind the host's built-in CORS and
/// CORSPlugin.
///
/// Follows the Fetch standard, section "HTTP CORS protocol": a decision says what a browser will conclude
/// from the fields that it carries. Deciding allocates nothing and takes no lock; any thread may do it.
public struct CORSPolicy: Sendable {
  let rules: CompiledPolicy

  /// Checks and compiles a policy.
  ///
  /// - Parameters:
  ///   - origins: `https://velro.ai`; `https://*.velro.ai` for every subdomain at any depth, but not the host
  ///     itself; `http://localhost:*` for any port; `null`; or `*` for all. Case and a default port do not
  ///     matter. Empty: none.
  ///   - methods: allowed besides GET, HEAD and POST, which Fetch always allows; compared with case. `*` for
  ///   all.
  ///   - headers: request fields allowed besides the CORS-safelisted ones, without case. `*` for all but
  ///     Authorization, which must be named.
  ///   - exposedHeaders: response fields that scripts may read besides the safelisted ones. `*` for all.
  ///   - allowsCredentials: whether cookies, client certificates and HTTP authentication may be sent along.
  ///   - maxAge: how long a browser may keep a preflight's answer, in whole seconds; it caps this itself.
  ///   - allowsPrivateNetwork: whether public sites may reach this host in a private network.
  /// - Throws: what is malformed, and what opens more than it seems to.
  public init(
    origins: [String], methods: [String], headers: [String], exposedHeaders: [String],
    allowsCredentials: Bool,
    maxAge: Duration, allowsPrivateNetwork: Bool = false
  ) throws(CORSPolicyError) {
    rules = try CompiledPolicy(
      origins: origins, methods: methods, headers: headers, exposedHeaders: exposedHeaders,
      allowsCredentials: allowsCredentials, maxAge: maxAge, allowsPrivateNetwork: allowsPrivateNetwork)
  }

  /// Decides one request.
  ///
  /// - Parameters:
  ///   - origin: the bytes of the Origin field as sent; nil if there is none.
  ///   - preflight: what it asks for, if the request is a preflight; nil for an actual request.
  /// - Returns: the decision, which is to be used only while `origin`'s bytes are there.
  public func decide(origin: UnsafeRawBufferPointer?, preflight: CORSPreflight?) -> CORSDecision {
    guard let match = rules.match(origin) else {
      return CORSDecision(
        isAllowed: false, rule: origin == nil ? "no Origin field" : "origin not allowed", rules: rules,
        origin: nil,
        grantsOrigin: false, answer: preflight == nil ? .actual : .preflight)
    }
    var decision = CORSDecision(
      isAllowed: true, rule: match, rules: rules, origin: origin, grantsOrigin: true,
      answer: preflight == nil ? .actual : .preflight)
    guard let preflight else { return decision }

    if !rules.allowsMethod(preflight.requestMethod) {
      decision.refuse("method not allowed")
    }
    if let names = preflight.requestHeaders {
      switch rules.allowHeaders(names) {
      case .listed: break
      case .safelisted: decision.namesSafelistedHeaders = true
      case .refused: decision.refuse("header not allowed")
      }
    }
    if preflight.requestsPrivateNetwork {
      if rules.allowsPrivateNetwork {
        decision.grantsPrivateNetwork = decision.isAllowed
      } else {
        decision.refuse("private network not allowed")
      }
    }
    return decision
  }
}
