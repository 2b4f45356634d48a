import CORSPolicy
import PathPattern

/// A policy for every path: those of the `policy` lines, and the default for all others.
struct PathPolicies: Sendable {
  /// The most specific first, so that the first that matches is the one.
  private let policies: [(pattern: PathPattern, policy: CORSPolicy)]
  private let otherwise: CORSPolicy

  /// - Parameters:
  ///   - defaults: the policy of all other paths; policies inherit from it the keys that they leave out.
  ///   - lines: `PATH KEY=VALUE…`
  /// - Throws: what is malformed or unsafe, and in which line.
  init(_ defaults: PolicyKeys, _ lines: [String]) throws(PathPolicyError) {
    do throws(CORSPolicyError) { otherwise = try defaults.compiled() } catch {
      throw PathPolicyError(line: nil, reason: error.description)
    }
    var policies: [(pattern: PathPattern, policy: CORSPolicy)] = []
    for line in lines {
      let policy = try Self.parse(line, defaults)
      if policies.contains(where: { $0.pattern.hasSameSegments(as: policy.pattern) }) {
        throw PathPolicyError(line: line, reason: "another policy has this path")
      }
      policies.append(policy)
    }
    self.policies = policies.sorted { $0.pattern.isMoreSpecific(than: $1.pattern) }
  }

  /// The policy of a path, which is normalised as the host hands it out. Allocates nothing.
  func policy(for path: UnsafeRawBufferPointer) -> CORSPolicy {
    for (pattern, policy) in policies where pattern.matches(path) { return policy }
    return otherwise
  }

  private static func parse(
    _ line: String, _ defaults: PolicyKeys
  ) throws(PathPolicyError) -> (pattern: PathPattern, policy: CORSPolicy) {
    let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
    guard let path = words.first, let pattern = PathPattern(String(path)) else {
      throw PathPolicyError(line: line, reason: "begins with a path like /api/v1/public/*")
    }
    var keys = defaults
    var seen: Set<Substring> = []
    for word in words.dropFirst() {
      guard let equals = word.firstIndex(of: "=") else {
        throw PathPolicyError(line: line, reason: "\"\(word)\" is not KEY=VALUE; lists have no spaces")
      }
      let key = word[..<equals]
      guard seen.insert(key).inserted else { throw PathPolicyError(line: line, reason: "has \(key) twice") }
      if let reason = keys.set(key, to: word[word.index(after: equals)...]) {
        throw PathPolicyError(line: line, reason: reason)
      }
    }
    do throws(CORSPolicyError) { return (pattern, try keys.compiled()) } catch {
      throw PathPolicyError(line: line, reason: error.description)
    }
  }
}

/// A policy that is malformed or unsafe. The plugin does not start with one.
struct PathPolicyError: Error, Equatable, CustomStringConvertible {
  /// Of which `policy` line; nil for the default policy.
  var line: String?
  var reason: String

  var description: String { "\(line.map { "policy = \($0)" } ?? "the default policy"): \(reason)" }
}
