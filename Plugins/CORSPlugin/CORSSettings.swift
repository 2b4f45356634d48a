import PluginAPI

struct CORSSettings: PluginSettings {
  var origins: [String]
  var methods: [String]
  var headers: [String]
  var expose: [String]
  var credentials: Bool
  var maxAge: Duration
  var privateNetwork: Bool
  var policy: [String]

  static var schema: [Setting] {
    [
      Setting(
        "origins", .list,
        help:
          "origins that may read responses: https://velro.ai, https://*.velro.ai (any subdomain, not the host "
          + "itself), http://localhost:* (any port), null, or * for all"),
      Setting(
        "methods", .list, help: "methods allowed besides GET, HEAD and POST; * for all, without credentials"),
      Setting(
        "headers", .list,
        help:
          "request fields allowed besides Accept, Accept-Language, Content-Language, Content-Type and Range; "
          + "* for all but Authorization, without credentials"),
      Setting(
        "expose", .list, help: "response fields that scripts may read; * for all, without credentials"),
      Setting(
        "credentials", .boolean, default: "false",
        help: "whether cookies and other credentials may be sent along; never for origins * and null"),
      Setting("max-age", .duration, default: "10m", help: "how long a browser may keep a preflight's answer"),
      Setting(
        "private-network", .boolean, default: "false",
        help: "whether public sites may reach this host in a private network; never for origins * and null"),
      Setting(
        "policy", .string, repeatable: true,
        help:
          "PATH KEY=VALUE…: another policy for a path and all below it; * in PATH is one segment, lists by comma, "
          + "keys as above, those left out as above; the longest path wins"),
    ]
  }

  /// - Throws: `PathPolicyError`, for what is malformed or unsafe.
  func check() throws { _ = try PathPolicies(defaults, policy) }

  /// What the keys besides `policy` say.
  var defaults: PolicyKeys {
    PolicyKeys(
      origins: origins, methods: methods, headers: headers, expose: expose, credentials: credentials,
      maxAge: maxAge, privateNetwork: privateNetwork)
  }
}
