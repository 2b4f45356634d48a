import CORSPolicy
import Testing

@testable import CORSPlugin

@Suite("Policies by path")
struct PathPoliciesTests {
  /// The origin pattern that a path's policy allows `https://velro.ai` by; nil if it does not.
  private func allowed(_ path: String, _ lines: [String], origin: String = "https://velro.ai") throws -> Bool
  {
    let policies = try PathPolicies(PolicyKeys(origins: ["https://velro.ai"]), lines)
    return Array(path.utf8).withUnsafeBytes { path in
      let policy = policies.policy(for: path)
      return Array(origin.utf8).withUnsafeBytes { policy.decide(origin: $0, preflight: nil).isAllowed }
    }
  }

  @Test(
    "the longest path that covers a request decides, and a name goes before *",
    arguments: [
      ("/", "https://velro.ai"), ("/other", "https://velro.ai"), ("/apis", "https://velro.ai"),
      ("/api", "https://api.example"), ("/api/", "https://api.example"), ("/api/v1", "https://star.example"),
      ("/api/v1/x/y", "https://star.example"), ("/api/v2", "https://v2.example"),
      ("/api/v2/deep/down", "https://v2.example"), ("/api/v1/admin", "https://admin.example"),
      ("/api/v1/administrator", "https://star.example"), ("/api/v2/admin", "https://admin.example"),
    ])
  func longest(path: String, origin: String) throws {
    let lines = [
      "/api origins=https://api.example", "/api/* origins=https://star.example",
      "/api/*/admin origins=https://admin.example", "/api/v2 origins=https://v2.example",
    ]
    let all = ["velro.ai", "api.example", "star.example", "v2.example", "admin.example"].map {
      "https://\($0)"
    }
    for candidate in all {
      #expect(try allowed(path, lines, origin: candidate) == (candidate == origin), "\(candidate)")
      #expect(try allowed(path, lines.reversed(), origin: candidate) == (candidate == origin), "\(candidate)")
    }
  }

  @Test("a key that is left out is the default policy's; one that is given replaces it")
  func inheritance() throws {
    let defaults = PolicyKeys(
      origins: ["https://velro.ai"], methods: ["PUT"], headers: ["X-A"], expose: ["X-B"], credentials: true,
      maxAge: .seconds(60), privateNetwork: true)
    let policies = try PathPolicies(
      defaults, ["/a", "/b methods=DELETE,PATCH credentials=no max-age=2h private-network=off expose="])
    func fields(_ path: String) -> [String: String] {
      let (path, origin, method) = (Array(path.utf8), Array("https://velro.ai".utf8), Array("GET".utf8))
      return path.withUnsafeBytes { path in
        origin.withUnsafeBytes { origin in
          method.withUnsafeBytes { method in
            let policy = policies.policy(for: path)
            let preflight = CORSPreflight(
              requestMethod: method, requestHeaders: nil, requestsPrivateNetwork: true)
            return Dictionary(
              policy.decide(origin: origin, preflight: preflight).headers
                + policy.decide(origin: origin, preflight: nil).headers,
              uniquingKeysWith: { first, _ in first })
          }
        }
      }
    }
    #expect(fields("/a") == fields("/"))
    #expect(fields("/a")["Access-Control-Allow-Credentials"] == "true")
    #expect(fields("/a")["Access-Control-Expose-Headers"] == "X-B")
    let other = fields("/b")
    #expect(other["Access-Control-Allow-Origin"] == "https://velro.ai")
    #expect(other["Access-Control-Allow-Methods"] == "DELETE, PATCH")
    #expect(other["Access-Control-Allow-Headers"] == "X-A")
    #expect(other["Access-Control-Allow-Credentials"] == nil)
    #expect(other["Access-Control-Expose-Headers"] == nil)
    #expect(other["Access-Control-Allow-Private-Network"] == nil)
    #expect(policies.maxAge(of: "/a") == "60" && policies.maxAge(of: "/b") == "7200")
  }

  @Test("an empty list of origins closes a path")
  func closed() throws {
    #expect(try !allowed("/internal/x", ["/internal origins="]))
    #expect(try allowed("/", ["/internal origins="]))
  }

  @Test(
    "a malformed policy is refused, and the reason names its line",
    arguments: [
      ("", "begins with a path"), ("api origins=*", "begins with a path"), ("/a//b", "begins with a path"),
      ("/a* origins=*", "begins with a path"), ("/a origins", "KEY=VALUE"),
      ("/a origins=https://a.example, https://b.example", "KEY=VALUE"), ("/a origin=*", "there is no key"),
      ("/a origins=* origins=*", "twice"), ("/a credentials=maybe", "true or false"),
      ("/a private-network=1", "true or false"), ("/a max-age=10", "duration"),
      ("/a max-age=-1s", "duration"),
      ("/a max-age=ten", "duration"), ("/a origins=https://a.example/", "slash"), ("/a methods=get", "GET"),
      ("/a headers=X:Y", "field name"), ("/a origins=*", "credentials"), ("/a origins=null", "credentials"),
      ("/a origins=https://*.com credentials=false", "public suffix"), ("/a expose=*", "literal name"),
      ("/a origins=* credentials=false private-network=true", "private network"),
    ])
  func refused(line: String, says: String) {
    let defaults = PolicyKeys(origins: ["https://velro.ai"], credentials: true)
    let error = #expect(throws: PathPolicyError.self) { try PathPolicies(defaults, ["/fine", line]) }
    #expect(error?.description.contains(says) == true, "\(String(describing: error))")
    #expect(error?.line == line)
  }

  @Test("two policies of one path are refused")
  func twice() {
    #expect(throws: PathPolicyError.self) { try PathPolicies(PolicyKeys(), ["/a/*", "/a/*/ origins=*"]) }
  }

  @Test("an unsafe default policy is refused, and named")
  func unsafeDefault() {
    let error = #expect(throws: PathPolicyError.self) {
      try PathPolicies(PolicyKeys(origins: ["*"], credentials: true), [])
    }
    #expect(error?.description.hasPrefix("the default policy: credentials") == true)
  }
}

extension PathPolicies {
  fileprivate func maxAge(of path: String) -> String? {
    Array(path.utf8).withUnsafeBytes { path in
      Array("https://velro.ai".utf8).withUnsafeBytes { origin in
        Array("GET".utf8).withUnsafeBytes { method in
          let preflight = CORSPreflight(
            requestMethod: method, requestHeaders: nil, requestsPrivateNetwork: false)
          return policy(for: path).decide(origin: origin, preflight: preflight).headers
            .first { $0.0 == "Access-Control-Max-Age" }?.1
        }
      }
    }
  }
}
