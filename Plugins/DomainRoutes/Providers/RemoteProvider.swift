import HTTPClient
import PluginAPI

/// One endpoint that this server depends on, with what operators see of it. Any thread.
final class RemoteProvider: Sendable {
  /// What `plugins.conf` says of it, under keys that begin with its name.
  struct Settings: Sendable {
    /// `generation` or `payment`.
    var name: String
    var endpoint: String
    var token: String?
    var retries: Int
    /// In bytes.
    var maxBody: Int
    /// A PEM file of the authorities that are trusted; nil: the system's.
    var authorities: String?
    var proxy: String?
  }

  let endpoint: WebAddress
  private let client: HTTPClient
  private let service: HTTPService
  private let headers: [(name: String, value: String)]

  /// Opens libcurl. [main, during start]
  /// - Throws: `SettingsError`; `SystemLibraryError` if there is no libcurl.
  init(_ settings: Settings, host: Host) throws {
    let key = { (suffix: String) in "\(settings.name)-\(suffix)" }
    var options = HTTPClient.Options()
    options.maxBody = settings.maxBody
    options.timeout = .seconds(3600)
    options.redirects = .sameOrigin(3)
    options.authorities = settings.authorities
    options.proxy = settings.proxy
    options.userAgent = "bulkhead-domain-routes/1.0"
    client = try HTTPClient(options)
    do {
      endpoint = try client.address(settings.endpoint)
    } catch {
      throw SettingsError(key: key("endpoint"), reason: "is no http or https URL without user and password")
    }
    if let token = settings.token {
      guard !token.isEmpty, token.utf8.allSatisfy({ 0x21...0x7e ~= $0 }) else {
        throw SettingsError(key: key("token"), reason: "is not of visible ASCII characters")
      }
      headers = [(name: "Authorization", value: "Bearer \(token)")]
      if endpoint.scheme == "http", !["localhost", "127.0.0.1", "[::1]"].contains(endpoint.host) {
        host.log(.warning, "\(key("token")) travels unencrypted to \(endpoint): use https")
      }
    } else {
      headers = []
    }
    let metrics = ProviderMetrics(host, name: settings.name)
    service = HTTPService(
      client, retry: RetryPolicy(retries: settings.retries), breaker: CircuitBreaker.Policy(),
      observe: { metrics.observe($0, of: settings.name, host: host) })
  }

  /// Reads an URL that the provider has named.
  /// - Throws: `HTTPClientError`, also if it is of another origin than the endpoint: nobody sends us elsewhere.
  func address(_ text: String, relativeTo base: WebAddress) throws(HTTPClientError) -> WebAddress {
    let address = try client.address(text, relativeTo: base)
    guard address.isSameOrigin(as: endpoint) else {
      throw HTTPClientError(.invalid, "the provider names an URL of another origin", wasSent: true)
    }
    return address
  }

  /// The URL of one thing below the endpoint; the query stays.
  /// - Parameter name: Needs no percent-encoding.
  /// - Throws: `HTTPClientError`.
  func below(_ name: String) throws(HTTPClientError) -> WebAddress {
    let path = endpoint.text.prefix { $0 != "?" }
    let query = endpoint.text[path.endIndex...]
    return try client.address("\(path)\(path.hasSuffix("/") ? "" : "/")\(name)\(query)")
  }

  /// Posts JSON, which is done once however often it is sent.
  /// - Throws: As `HTTPService.send`.
  func post(
    _ json: String, key: String, accept: String, within limit: Duration, checkpoint: () throws -> Void = {}
  ) throws -> ClientResponse {
    let request = ClientRequest(
      .post, endpoint,
      headers: headers + [
        (name: "Content-Type", value: "application/json"), (name: "Accept", value: accept),
        (name: "Idempotency-Key", value: key),
      ], body: [UInt8](json.utf8))
    return try service.send(request, within: limit, checkpoint: checkpoint)
  }

  /// - Parameter url: Of the endpoint's origin, for it is sent the token.
  /// - Throws: As `HTTPService.send`.
  func get(
    _ url: WebAddress, accept: String, within limit: Duration, checkpoint: () throws -> Void = {}
  ) throws -> ClientResponse {
    let request = ClientRequest(.get, url, headers: headers + [(name: "Accept", value: accept)])
    return try service.send(request, within: limit, checkpoint: checkpoint)
  }

  /// Lets time pass, and asks now and then whether to go on.
  func pause(_ duration: Duration, checkpoint: () throws -> Void) throws {
    try service.pause(duration, checkpoint)
  }
}
