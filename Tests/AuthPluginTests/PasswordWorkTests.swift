import DatabaseTesting
import PluginTesting
import Testing

@testable import AuthPlugin

/// Whether there is an account must not be told by how long a login takes. What is counted is the work, not the time.
@Suite struct PasswordWorkTests {
  /// What a login is answered, and what it costs.
  private func logIn(_ auth: AuthHost, _ email: String, _ password: String) throws -> (Int, work: Double) {
    let before = auth.host.metric("password_work_total")?.value ?? 0
    let status = try auth.logIn(email, password: password).status
    return (status, (auth.host.metric("password_work_total")?.value ?? 0) - before)
  }

  @Test(
    "a login that fails costs the same for an old account, a new one and none, after scrypt-cost was raised or lowered",
    arguments: Backend.allCases, [("14", "15"), ("15", "14")])
  func equalWork(on backend: Backend, _ costs: (old: String, new: String)) throws {
    let old = try AuthHost(on: backend, ["scrypt-cost": costs.old])
    _ = try old.register("old@example.com")
    let auth = try AuthHost(on: old.database, ["scrypt-cost": costs.new], generation: 2)
    _ = try auth.register("new@example.com")
    for email in ["nobody@example.com", "old@example.com", "new@example.com", "nobody@example.com"] {
      #expect(try logIn(auth, email, "wrong") == (401, work: Double((1 << 14) + (1 << 15))), "\(email)")
    }
  }

  @Test(
    "as long as there is one cost, a login that fails is one hash, and one that succeeds too",
    arguments: Backend.allCases)
  func oneCost(on backend: Backend) throws {
    let auth = try AuthHost(on: backend)
    _ = try auth.register("ada@example.com")
    for (email, password, status) in [
      ("ada@example.com", "wrong", 401), ("nobody@example.com", "wrong", 401),
      ("ada@example.com", AuthHost.password, 200),
    ] {
      #expect(try logIn(auth, email, password) == (status, work: Double(1 << 14)), "\(email)")
    }
  }
}
