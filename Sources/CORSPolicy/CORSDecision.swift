/// What a policy answers to one request: whether a browser will let it pass, and the header fields that say
/// so.
///
/// Borrows the bytes of the request's Origin: use it while they are there. It is only ever read, so it may be
/// handed to another thread within that time; hence `@unchecked`.
public struct CORSDecision: @unchecked Sendable {
  enum Answer { case actual, preflight }

  /// True if the origin may read the response; for a preflight, also that the request may be sent.
  public var isAllowed: Bool
  /// The origin pattern that matched, as written, or why the request is refused.
  public var rule: String

  let rules: CompiledPolicy
  let origin: UnsafeRawBufferPointer?
  let grantsOrigin: Bool
  let answer: Answer
  var namesSafelistedHeaders = false
  var grantsPrivateNetwork = false

  /// The first reason stays.
  mutating func refuse(_ reason: String) {
    if isAllowed { rule = reason }
    isAllowed = false
  }

  private typealias Body = (_ name: StaticString, _ value: UnsafeRawBufferPointer) throws -> Void

  /// Calls `body` with each header field to put on the response, in order, Vary last. Nothing is allocated.
  ///
  /// A preflight that is refused for its method, a header or the private network still names what is allowed:
  /// it is the browser that compares, and it tells the developer what it missed.
  ///
  /// - Parameter body: the value is valid during its call. What it throws ends the calls, and is passed on.
  public func forEachHeader(
    _ body: (_ name: StaticString, _ value: UnsafeRawBufferPointer) throws -> Void
  ) rethrows {
    if grantsOrigin {
      try originFields(body)
      switch answer {
      case .actual: try field("Access-Control-Expose-Headers", rules.exposedHeaders, body)
      case .preflight: try preflightFields(body)
      }
    }
    try field("Vary", answer == .actual ? rules.varyActual : rules.varyPreflight, body)
  }

  /// The same fields, copied.
  public var headers: [(String, String)] {
    var fields: [(String, String)] = []
    forEachHeader { name, value in fields.append(("\(name)", String(decoding: value, as: UTF8.self))) }
    return fields
  }

  private func originFields(_ body: Body) rethrows {
    if rules.allowsAnyOrigin {
      try field("Access-Control-Allow-Origin", CompiledPolicy.wildcard, body)
    } else if let origin {
      try body("Access-Control-Allow-Origin", origin)
    }
    if rules.allowsCredentials { try field("Access-Control-Allow-Credentials", CompiledPolicy.yes, body) }
  }

  private func preflightFields(_ body: Body) rethrows {
    try field("Access-Control-Allow-Methods", rules.methodsValue, body)
    let names = namesSafelistedHeaders ? rules.headersValueWithSafelist : rules.headersValue
    try field("Access-Control-Allow-Headers", names, body)
    if isAllowed { try field("Access-Control-Max-Age", rules.maxAge, body) }
    if grantsPrivateNetwork { try field("Access-Control-Allow-Private-Network", CompiledPolicy.yes, body) }
  }

  /// An empty value is a field that is left out.
  @inline(__always)
  private func field(_ name: StaticString, _ value: [UInt8], _ body: Body) rethrows {
    if !value.isEmpty { try value.withUnsafeBytes { try body(name, $0) } }
  }
}
