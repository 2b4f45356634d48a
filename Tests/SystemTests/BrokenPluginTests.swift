import Foundation
import PluginTesting
import Testing

/// The shipped configuration with each of its plugins broken in each way: what depends on the plugin is answered per its
/// `on-failure`, everything else exactly as while all is well; and when it is mended all is as before.
@Suite("Each shipped plugin, broken in each way", .serialized)
struct BrokenPluginTests {
  enum Victim: String, CaseIterable {
    case cors, auth, ratelimit, domain

    var library: String {
      switch self {
      case .cors: "CORSPlugin"
      case .auth: "AuthPlugin"
      case .ratelimit: "RateLimitPlugin"
      case .domain: "DomainRoutes"
      }
    }
    /// `on-failure`, in the shipped file.
    var isOpen: Bool { self == .cors || self == .ratelimit }
    var isRequired: Bool { !isOpen }
  }

  enum Way: String, CaseIterable {
    case missing, garbage, throwsAtStart, trapsAtStart, throwing, trapping, hanging

    /// What `sabotaged.c` is told.
    var sabotage: String? {
      switch self {
      case .missing, .garbage: nil
      case .throwsAtStart: "start throw"
      case .trapsAtStart: "start trap"
      case .throwing: "request throw"
      case .trapping: "request trap"
      case .hanging: "request hang"
      }
    }
    /// It serves before it breaks.
    var isInService: Bool { [.throwing, .trapping, .hanging].contains(self) }
    var reason: String {
      switch self {
      case .missing, .garbage: "load-failed"
      case .throwsAtStart: "start-failed"
      case .trapsAtStart, .trapping: "crashed"
      case .throwing: "threw"
      case .hanging: "hung"
      }
    }
  }

  /// A column names the plugin that is out. A token is none (-), no token (bad), or a user's.
  static let table = AnswerTable(
    """
    request                                  token well cors auth ratelimit domain
    GET /health                              -     200  200  200  200       200
    GET /health/live                         -     200  200  200  200       200
    GET /health/ready                        -     200  200  503  200       503
    GET /__version                           -     200  200  200  200       200
    GET /__diag/ping                         -     200  200  200  200       200
    GET /__diag/plugins                      -     200  200  200  200       200
    GET /__diag/error/418                    -     418  418  418  418       418
    GET /metrics                             -     200  200  200  200       200
    GET /api/v1/auth/_ping                   -     200  200  503  200       200
    GET /api/v1/credits/_ping                -     200  200  200  200       503
    GET /api/v1/projects/_ping               -     200  200  200  200       503
    GET /api/v1/generations/_ping            -     200  200  200  200       503
    GET /api/v1/credits/_ping                bad   200  200  200  200       503
    GET /api/v1/generations/models/supported -     200  200  200  200       503
    GET /api/v1/openapi.json                 -     200  200  200  200       503
    GET /api/v1/auth/me                      -     401  401  503  401       401
    GET /api/v1/auth/me                      bad   401  401  503  401       401
    GET /api/v1/auth/me                      user  200  200  503  200       200
    GET /api/v1/credits/balance              -     401  401  503  401       503
    GET /api/v1/credits/balance              bad   401  401  503  401       503|401
    GET /api/v1/credits/balance              user  200  200  503  200       503
    GET /api/v1/credits/stats                user  200  200  503  200       503
    GET /api/v1/projects                     -     401  401  503  401       503
    GET /api/v1/projects                     user  200  200  503  200       503
    GET /api/v1/generations                  -     401  401  503  401       503
    GET /api/v1/generations                  user  200  200  503  200       503
    POST /api/v1/projects                    -     401  401  503  401       503
    POST /api/v1/projects                    user  422  422  503  422       503
    POST /api/v1/auth/login                  -     422  422  503  422       422
    POST /api/v1/auth/register               user  422  422  503  422       422
    DELETE /api/v1/credits/balance           -     405  405  405  405       503
    DELETE /api/v1/auth/me                   -     405  405  503  405       405
    GET /api/v1/credits/nothing              -     404  404  404  404       503
    GET /api/v1/auth/nothing                 user  404  404  503  404       503
    GET /nothing                             user  404  404  404  404       404
    GET /%00                                 -     400  400  400  400       400
    OPTIONS /api/v1/credits/stats            -     204  204  204  204       204
    OPTIONS /api/v1/auth/login               -     204  204  204  204       204
    OPTIONS /nothing                         -     204  204  204  204       204
    """)

  @Test(
    "everything else is answered as before, and all of it once it is mended", arguments: Victim.allCases,
    Way.allCases)
  func broken(victim: Victim, way: Way) throws {
    let directory = try TemporaryDirectory()
    let standIn = try BrokenPlugin.sabotaged(victim.library, in: directory)
    var host = try start(in: directory, victim, library: standIn)
    let user = try Shop(host: host).register()
    let well = try Self.table.answers(of: host, to: user)
    for (line, answer) in zip(Self.table.lines, well) {
      #expect(answer.status == line.status("well", isQuarantined: false), "\(line.name): \(answer.text)")
    }

    let before = try host.worker().pid
    if way.isInService {
      try directory.write("sabotage", way.sabotage ?? "")
      let first = try host.get("/api/v1/credits/balance", headers: [user.bearer, ("Origin", Origin.own)])
      #expect(first.status == (victim.isOpen ? 200 : way == .hanging ? 504 : 503), "\(first.text)")
      #expect(first.corsFields == well[0].corsFields)
    } else {
      try host.stop()
      if let sabotage = way.sabotage { try directory.write("sabotage", sabotage) }
      let library = way.sabotage == nil ? "\(directory.path)/libBroken.so" : standIn
      if way == .garbage {
        try directory.write("libBroken.so", (0..<4096).map { _ in .random(in: 0...255) }, mode: 0o755)
      }
      host = try start(in: directory, victim, library: library)
    }

    let plugin = try host.plugin(victim.rawValue)
    #expect(plugin["state"].string == (way.isInService ? "quarantined" : "failed"), "\(plugin)")
    #expect(plugin["reason"].string == way.reason, "\(plugin)")
    try expect(host, without: victim, way, as: well, user)
    if way == .trapping || way == .hanging {
      try wait("the tainted worker to end", within: .seconds(40)) { !RunningProcess.exists(before) }
      try expect(host, without: victim, way, as: well, user)
    }
    try expectScript(host, fails: Self.failures(without: victim, isQuarantined: way.isInService))

    // Mended: by an operator, or by the next file.
    if way.sabotage != nil { #expect(unlink("\(directory.path)/sabotage") == 0) }
    if way.isInService {
      #expect(try host.command("release", victim.rawValue).status == .exited(0))
    } else {
      try directory.write("plugins.conf", text(in: directory, victim, library: victim.library))
    }
    try host.waitFor(plugin: victim.rawValue, state: "active")
    try wait("the probes to pass again") { try host.get("/health/ready").status == 200 }
    for (line, (old, new)) in zip(Self.table.lines, zip(well, try Self.table.answers(of: host, to: user))) {
      expectSame(old, new, line, isLimited: true)
    }
    try expectScript(host, fails: [])
  }

  // MARK: The host

  private func text(in directory: TemporaryDirectory, _ victim: Victim, library: String) -> String {
    ShippedConfiguration.unlimited(ShippedConfiguration.adapted(to: directory))
      .replacing(
        "library = \(victim.library)\n", with: "library = \(library)\ntimeout = 2s\nrecover = never\n")
  }

  private func start(in directory: TemporaryDirectory, _ victim: Victim, library: String) throws
    -> HostProcess
  {
    try HostProcess(configuration: text(in: directory, victim, library: library), listeners: 1, in: directory)
  }

  // MARK: The table

  private func expect(
    _ host: HostProcess, without victim: Victim, _ way: Way, as well: [HTTPResponse], _ user: Shop.User
  ) throws {
    let answers = try Self.table.answers(of: host, to: user)
    for (line, (old, new)) in zip(Self.table.lines, zip(well, answers)) {
      #expect(new.corsFields == old.corsFields, "\(line.name)")
      #expect(new.corsFields.contains("access-control-allow-origin: \(Origin.own)"), "\(line.name)")
      #expect(new.header("X-Request-Id")?.isEmpty == false, "\(line.name)")
      #expect(new.header("traceparent") != nil, "\(line.name)")
      let expected = line.status(victim.rawValue, isQuarantined: way.isInService)
      #expect(new.status == expected, "\(line.name): \(new.text)")
      if expected == old.status {
        expectSame(old, new, line, isLimited: victim != .ratelimit)
      } else if line.path.hasPrefix("/api/") {
        #expect(new.isProblem, "\(line.name)")
        #expect(new.json["code"].string == "plugin-unavailable", "\(line.name): \(new.text)")
        #expect(new.json["plugin"].string == victim.rawValue, "\(line.name): \(new.text)")
        #expect(new.header("Retry-After") != nil, "\(line.name)")
      }
    }
  }

  private func expectSame(
    _ old: HTTPResponse, _ new: HTTPResponse, _ line: AnswerTable.Line, isLimited: Bool
  ) {
    #expect(
      new.lasting(isLimited: isLimited) == old.lasting(isLimited: isLimited), "\(line.name): \(new.text)")
    // The host's own answers tell its state.
    if line.path.hasPrefix("/api/") { #expect(new.lastingBody == old.lastingBody, "\(line.name)") }
  }

  // MARK: The script

  /// The checks that fail while `victim` is out; all others pass.
  private static func failures(without victim: Victim, isQuarantined: Bool) -> Set<String> {
    let degraded = ["health says ok", "no plugin is out"]
    let ready = victim.isRequired ? ["GET /health/ready answers 200"] : []
    let pings: [String]
    let protected: [String]
    switch victim {
    case .cors, .ratelimit: (pings, protected) = ([], [])
    case .auth:
      pings = ["auth"]
      protected = ["credits/stats", "credits/balance", "projects", "generations", "auth/me"]
    case .domain:
      pings = ["credits", "projects", "generations"]
      protected = ["credits/stats", "credits/balance", "projects", "generations"]
    }
    // Its routes are known while it is quarantined, and a bad token is refused before they are reached.
    let refusesTokens = victim == .domain && isQuarantined
    return Set(
      degraded + ready + pings.map { "GET /api/v1/\($0)/_ping answers 200" }
        + protected.flatMap {
          ["GET /api/v1/\($0) without a token answers 401", "GET /api/v1/\($0) names its challenge"]
            + (refusesTokens ? [] : ["GET /api/v1/\($0) with a bad token answers 401"])
        })
  }

  private func expectScript(_ host: HostProcess, fails expected: Set<String>) throws {
    let script = "\(ReleaseBuild.packageRoot)/scripts/test-diagnostic-endpoints.sh"
    let result = try ReleaseBuild.run("/bin/sh", [script, "http://\(host.endpoints[0])"])
    let lines = result.output.split(separator: "\n")
    let failed = lines.filter { $0.hasPrefix("FAIL  ") }.compactMap { line in
      line.dropFirst(6).firstRange(of: ": ").map {
        String(line[line.index(line.startIndex, offsetBy: 6)..<$0.lowerBound])
      }
    }
    #expect(Set(failed) == expected, "\(result.output)")
    #expect(lines.filter { $0.hasPrefix("ok    ") }.count > 80)
    #expect(result.status == .exited(expected.isEmpty ? 0 : 1))
  }
}
