// swift-tools-version: 6.2
import PackageDescription

/// Every warning is an error, everywhere.
let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]

/// The request path keeps its state in classes, where each access would be checked for overlap at run time: a
/// fifth of the CPU of a request. Debug builds, and with them the tests, check; the compiler checks what it can in both.
let fast: [SwiftSetting] =
  strict + [.unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))]

/// The host must start when all else is broken, and at once: it links no module of the toolchain that it does not use.
let lean: [SwiftSetting] = [
  .unsafeFlags([
    "-Xfrontend", "-disable-implicit-string-processing-module-import",
    "-Xfrontend", "-disable-implicit-concurrency-module-import",
  ])
]

/// Release builds keep symbols, for backtraces, but no debug information: at each start what is loaded is copied and
/// digested first, and half of it would be that.
let stripped: [LinkerSetting] = [.unsafeFlags(["-Xlinker", "-S"], .when(configuration: .release))]

/// Each plugin exports the same entry symbol; a test bundle holds them all, and calls none through it.
let manyEntryPoints: [LinkerSetting] = [.unsafeFlags(["-Xlinker", "--allow-multiple-definition"])]

/// What `/__version` names; a change that is not committed shows as "+".
let commit =
  Context.gitInformation.map { git in
    String(git.currentCommit.prefix(12)) + (git.hasUncommittedChanges ? "+" : "")
  } ?? "unknown"

/// A plugin, and its library.
func plugin(
  _ name: String, dependencies: [Target.Dependency] = [], path: String, exclude: [String] = []
) -> Target {
  .target(
    name: name, dependencies: ["PluginAPI"] + dependencies, path: path, exclude: exclude,
    swiftSettings: strict, linkerSettings: stripped)
}

func tests(_ name: String, of dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
  .testTarget(
    name: name, dependencies: dependencies, resources: resources, swiftSettings: strict,
    linkerSettings: manyEntryPoints)
}

let plugins = [
  "AuthPlugin", "RateLimitPlugin", "CORSPlugin", "DomainRoutes", "FaultPlugin", "PlainCPlugin", "BenchPlugin",
]

let package = Package(
  name: "bulkhead",
  products: [.executable(name: "bulkhead", targets: ["bulkhead"])]
    + plugins.map { .library(name: $0, type: .dynamic, targets: [$0]) }
    + ["PluginAPI", "PluginTesting"].map { .library(name: $0, targets: [$0]) },
  targets: [
    // The boundary: what host and plugins share.
    .target(name: "PluginABI"),
    .target(name: "PluginAPI", dependencies: ["PluginABI"], swiftSettings: strict),

    // Pure modules, without I/O.
    .target(name: "HTTPCodec", swiftSettings: fast + lean),
    .target(name: "CORSPolicy", swiftSettings: strict + lean),

    // The host.
    .target(name: "LinuxShims", cSettings: [.define("BULKHEAD_COMMIT", to: "\"\(commit)\"")]),
    .target(name: "DiagnosticsPage", exclude: ["page.html"]),
    .executableTarget(
      name: "bulkhead",
      dependencies: ["PluginABI", "HTTPCodec", "CORSPolicy", "LinuxShims", "DiagnosticsPage"],
      path: "Sources/Host", swiftSettings: fast + lean, linkerSettings: stripped),

    // The shipped plugins, and what they share.
    .systemLibrary(
      name: "CCrypto", path: "Plugins/Support/CCrypto", pkgConfig: "libcrypto",
      providers: [.apt(["libssl-dev"])]),
    .systemLibrary(
      name: "CSQLite", path: "Plugins/Support/CSQLite", pkgConfig: "sqlite3",
      providers: [.apt(["libsqlite3-dev"])]),
    .target(name: "SQL", path: "Plugins/Support/SQL", swiftSettings: strict),
    .target(
      name: "SQLite", dependencies: ["SQL", "CSQLite"], path: "Plugins/Support/SQLite",
      swiftSettings: strict),
    .systemLibrary(
      name: "CPostgreSQL", path: "Plugins/Support/CPostgreSQL", providers: [.apt(["libpq-dev"])]),
    .target(
      name: "PostgreSQL", dependencies: ["SQL", "CPostgreSQL", "SystemLibrary"],
      path: "Plugins/Support/PostgreSQL", swiftSettings: strict),
    .target(
      name: "DatabaseSettings", dependencies: ["SQL", "SQLite", "PostgreSQL"],
      path: "Plugins/Support/DatabaseSettings", swiftSettings: strict),
    // Opened when a setting names it: a plugin needs it neither to load nor, without that setting, to start.
    .target(name: "SystemLibrary", path: "Plugins/Support/SystemLibrary", swiftSettings: strict),
    // Its header alone; `SystemLibrary` opens it.
    .systemLibrary(
      name: "CCurl", path: "Plugins/Support/CCurl", providers: [.apt(["libcurl4-openssl-dev"])]),
    .target(name: "CurlShim", dependencies: ["CCurl"], path: "Plugins/Support/CurlShim"),
    .target(
      name: "HTTPClient", dependencies: ["CCurl", "CurlShim", "SystemLibrary"],
      path: "Plugins/Support/HTTPClient", swiftSettings: strict),
    .target(
      name: "JSONBodies", dependencies: ["PluginAPI"], path: "Plugins/Support/JSONBodies",
      swiftSettings: strict),
    .systemLibrary(name: "CHiredis", path: "Plugins/Support/CHiredis"),
    .target(
      name: "Redis", dependencies: ["CHiredis", "SystemLibrary"], path: "Plugins/Support/Redis",
      swiftSettings: strict),
    .target(name: "PathPattern", path: "Plugins/Support/PathPattern", swiftSettings: strict),
    plugin(
      "CORSPlugin", dependencies: ["CORSPolicy", "PathPattern"], path: "Plugins/CORSPlugin",
      exclude: ["README.md", "Cases"]),
    plugin(
      "RateLimitPlugin", dependencies: ["PathPattern", "Redis", "SystemLibrary"],
      path: "Plugins/RateLimitPlugin", exclude: ["README.md", "Cases"]),
    plugin(
      "AuthPlugin", dependencies: ["SQL", "DatabaseSettings", "JSONBodies", "CCrypto"],
      path: "Plugins/AuthPlugin", exclude: ["README.md", "Cases"]),
    plugin(
      "DomainRoutes", dependencies: ["SQL", "DatabaseSettings", "JSONBodies", "HTTPClient"],
      path: "Plugins/DomainRoutes", exclude: ["README.md", "Cases"]),

    // What the tests break on purpose.
    plugin("FaultPlugin", path: "Tests/Fixtures/FaultPlugin"),
    .target(name: "PlainCPlugin", dependencies: ["PluginABI"], path: "Tests/Fixtures/PlainCPlugin"),

    // The end of the chain that `make bench` measures.
    plugin("BenchPlugin", path: "Benchmarks/BenchPlugin"),

    // Tests. `SystemTests` drive the release binary; the others test values in-process.
    .target(
      name: "PluginTesting", dependencies: ["PluginAPI", "PluginABI", "LinuxShims"], swiftSettings: strict),
    // A real Chromium, for the pages and for CORS as browsers judge it.
    .target(
      name: "BrowserTesting", dependencies: ["PluginTesting"], path: "Tests/Browser", exclude: ["Pages"],
      swiftSettings: strict),
    .target(
      name: "OpenAPITesting", dependencies: ["PluginTesting"], path: "Tests/Support/OpenAPITesting",
      swiftSettings: strict),
    .target(name: "LocalServer", path: "Tests/Support/LocalServer", swiftSettings: strict),
    .executableTarget(
      name: "codec-fuzz", dependencies: ["HTTPCodec"], path: "Tests/CodecFuzz", swiftSettings: strict),
    .target(
      name: "RedisTesting", dependencies: ["PluginTesting"], path: "Tests/RedisTesting", swiftSettings: strict
    ),
    tests("HTTPCodecTests", of: ["HTTPCodec"]),
    tests("CORSPolicyTests", of: ["CORSPolicy"]),
    tests("PluginAPITests", of: ["PluginAPI", "PluginABI", "PluginTesting"]),
    tests("HostTests", of: ["bulkhead", "PluginTesting"]),
    tests("CORSPluginTests", of: ["CORSPlugin", "PluginTesting"]),
    tests("RateLimitPluginTests", of: ["RateLimitPlugin", "Redis", "RedisTesting", "PluginTesting"]),
    tests("RedisTests", of: ["Redis", "SystemLibrary", "RedisTesting", "PluginTesting"]),
    tests(
      "AuthPluginTests",
      of: ["AuthPlugin", "PluginTesting", "DomainRoutes", "OpenAPITesting", "DatabaseTesting"]),
    tests(
      "DomainRoutesTests",
      of: ["DomainRoutes", "PluginTesting", "LocalServer", "OpenAPITesting", "DatabaseTesting"]),
    .target(
      name: "DatabaseTesting", dependencies: ["PluginTesting", "LinuxShims"],
      path: "Tests/Support/DatabaseTesting",
      swiftSettings: strict),
    tests("DatabaseTests", of: ["DatabaseSettings", "DatabaseTesting"]),
    tests("JSONBodiesTests", of: ["JSONBodies", "PluginTesting"]),
    tests("HTTPClientTests", of: ["HTTPClient", "LocalServer", "PluginTesting"]),
    tests(
      "SystemTests",
      of: [
        "RedisTesting", "PluginTesting", "BrowserTesting", "LocalServer", "OpenAPITesting", "DatabaseTesting",
      ]),
  ],
  swiftLanguageModes: [.v6]
)
