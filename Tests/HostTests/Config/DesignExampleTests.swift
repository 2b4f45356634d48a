import Testing

@testable import bulkhead

@Suite("plugins.conf: the documented example")
struct DesignExampleTests {
  static let text = """
    [host]
    listen = 127.0.0.1:8080          # repeatable; [::]:80, unix:/run/bulkhead.sock; PORT in the environment overrides the port
    threads = auto
    plugin-path = .build/release     # where a bare library name is looked up: NAME -> libNAME.so
    state-dir = .bulkhead
    diagnostics = loopback           # loopback | token | public | off   (admin-token = ${…} for token)
    trusted-proxies = 127.0.0.1
    log-format = text                # text | json
    log-level = info
    max-head = 16k
    max-body = 1m
    head-timeout = 10s
    body-timeout = 30s
    idle-timeout = 75s
    drain-timeout = 30s
    request-timeout = 60s
    start-timeout = 10s              # loading and starting; also in [plugin …]
    probe = GET /api/v1/credits/_ping 200     # repeatable
    max-rss = 0                      # recycle the worker past this size

    [cors]                           # the built-in policy
    origins = https://velro.ai, https://*.velro.ai, http://localhost:3000
    methods = GET, POST, PUT, PATCH, DELETE
    headers = Authorization, Content-Type, X-Request-Id, Idempotency-Key
    expose = X-Request-Id, RateLimit, RateLimit-Policy, Retry-After
    credentials = true
    max-age = 10m

    [plugin cors]
    library = CORSPlugin
    on-failure = open

    [plugin auth]
    library = AuthPlugin
    applies-to = protected
    mount = /api/v1/auth
    on-failure = closed
    """

  @Test("is valid as it stands")
  func parses() throws {
    let configuration = try ConfigurationFile.parse(text: Self.text, path: "/srv/app/plugins.conf").get()
    #expect(configuration.host.listen == [.ipv4("127.0.0.1", port: 8080)])
    #expect(configuration.host.threads == nil)
    #expect(configuration.host.pluginPath == "/srv/app/.build/release")
    #expect(configuration.host.stateDirectory == "/srv/app/.bulkhead")
    #expect(configuration.host.diagnostics == .loopback)
    #expect(configuration.host.trustedProxies == [AddressPrefix("127.0.0.1")])
    #expect(configuration.host.maxHead == 16 << 10)
    #expect(configuration.host.idleTimeout == .seconds(75))
    #expect(configuration.host.probes == [Probe(method: "GET", target: "/api/v1/credits/_ping", status: 200)])
    #expect(configuration.cors != nil)
    #expect(configuration.corsSettings?.maxAge == .seconds(600))
    #expect(configuration.plugins.map(\.name) == ["cors", "auth"])
    let auth = configuration.plugins[1]
    #expect(auth.libraryPath == "/srv/app/.build/release/libAuthPlugin.so")
    #expect(auth.appliesTo == .protected)
    #expect(auth.mount == "/api/v1/auth")
    #expect(auth.onFailure == .closed)
    #expect(configuration.plugins[0].onFailure == .open)
  }

  @Test("says the same in a file with CRLF line ends and a byte-order mark")
  func parsesWithCarriageReturns() throws {
    let lines = Self.text.split(separator: "\n", omittingEmptySubsequences: false)
    let crlf = "\u{FEFF}" + lines.joined(separator: "\r\n")
    let plain = try ConfigurationFile.parse(text: Self.text, path: "/srv/app/plugins.conf").get()
    let other = try ConfigurationFile.parse(text: crlf, path: "/srv/app/plugins.conf").get()
    #expect(plain.describe(schemas: [:]) == other.describe(schemas: [:]))
  }

  @Test("an empty file is a host with every default and no plugin")
  func emptyFile() throws {
    let configuration = try ConfigurationFile.parse(text: "", path: "/srv/plugins.conf").get()
    #expect(configuration.host.listen == [.ipv4("127.0.0.1", port: 8080)])
    #expect(configuration.host.pluginPath == "/srv/.build/release")
    #expect(configuration.cors == nil)
    #expect(configuration.plugins.isEmpty)
  }
}
