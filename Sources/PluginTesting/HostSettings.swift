/// A `plugins.conf` in the making: what a test says, around the few lines that every test needs.
public struct HostSettings: Sendable {
  /// One listener each; port 0 lets the kernel choose.
  public var listen = ["127.0.0.1:0"]
  /// Further lines of `[host]`.
  public var host = ""
  /// The lines of `[cors]`; nil leaves the section out.
  public var cors: String? = HostSettings.shopCORS
  /// `[plugin …]` sections, as they would stand in the file.
  public var plugins = ""

  /// The built-in policy that most tests use.
  public static let shopCORS = """
    origins = https://velro.ai, https://*.velro.ai, http://localhost:3000
    methods = GET, POST, PUT, PATCH, DELETE
    headers = Authorization, Content-Type, X-Request-Id, Idempotency-Key
    expose = X-Request-Id, RateLimit, RateLimit-Policy, Retry-After
    credentials = true
    max-age = 10m
    """

  public init(
    listen: [String] = ["127.0.0.1:0"], host: String = "", cors: String? = HostSettings.shopCORS,
    plugins: String = ""
  ) {
    self.listen = listen
    self.host = host
    self.cors = cors
    self.plugins = plugins
  }

  /// The file's text.
  ///
  /// - Parameter stateDirectory: absolute.
  public func text(stateDirectory: String) -> String {
    """
    [host]
    \(listen.map { "listen = \($0)" }.joined(separator: "\n"))
    plugin-path = \(ReleaseBuild.pluginPath)
    state-dir = \(stateDirectory)
    \(host)

    \(cors.map { "[cors]\n\($0)" } ?? "")

    \(plugins)

    """
  }
}
