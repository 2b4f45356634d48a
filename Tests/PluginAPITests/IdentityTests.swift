import PluginAPI
import PluginTesting
import Testing

@Suite("Values between plugins")
struct IdentityTests {
  private static let ada = Identity(
    subject: "u1", email: "ada@example.org", role: "admin", scopes: ["read", "", "write:all"],
    expiresAt: 4_000_000_000)

  @Test(
    "an identity that is set is read by later phases, whole",
    arguments: [
      ada, Identity(subject: "only"), Identity(subject: "ü", email: "é"),
    ])
  func roundTrip(identity: Identity) throws {
    let actions = ProbeActions(
      request: { request in
        #expect(request.identity == nil)
        #expect(request.withSubject { $0 == nil })
        try request.setIdentity(identity)
        #expect(request.withSubject { $0?.count } == identity.subject.utf8.count)
        return nil
      },
      response: { #expect($0.identity == identity) })
    try ProbeActions.$current.withValue(actions) {
      let answer = try InProcessHost(.of(Probe<NoSettings>.self)).send("GET", "/x", access: .authenticated)
      #expect(answer.status == 200)
      #expect(answer.identity == identity)
    }
  }

  @Test("an identity is set once")
  func setOnce() throws {
    let actions = ProbeActions(request: { request in
      #expect(throws: HostRefusal.identity) { try request.setIdentity(Identity(subject: "other")) }
      #expect(request.identity == Self.ada)
      return nil
    })
    try ProbeActions.$current.withValue(actions) {
      let answer = try InProcessHost(.of(Probe<NoSettings>.self)).send("GET", "/x", identity: Self.ada)
      #expect(answer.status == 200)
    }
  }

  @Test("an identity without a subject is refused")
  func emptySubject() throws {
    let actions = ProbeActions(request: { request in
      #expect(throws: HostRefusal.identity) { try request.setIdentity(Identity(subject: "")) }
      return nil
    })
    try ProbeActions.$current.withValue(actions) {
      let answer = try InProcessHost(.of(Probe<NoSettings>.self)).send("GET", "/x", access: .authenticated)
      #expect(answer.status == 401)
      #expect(answer.header("WWW-Authenticate") == "Bearer")
    }
  }

  @Test("attributes are replaced by name, and absent ones are nil")
  func attributes() throws {
    let actions = ProbeActions(
      request: { request in
        #expect(request.attribute("probe.none") == nil)
        try request.setAttribute("probe.a", [1, 2])
        try request.setAttribute("probe.a", "three".utf8)
        try request.setAttribute("probe.empty", [])
        return nil
      },
      response: { request in
        #expect(request.attribute("probe.a") == Array("three".utf8))
        #expect(request.attribute("probe.empty") == [])
        #expect(request.attribute("earlier") == [9])
      })
    try ProbeActions.$current.withValue(actions) {
      let host = try InProcessHost(.of(Probe<NoSettings>.self))
      #expect(try host.send("GET", "/x", attributes: ["earlier": [9]]).attributes.count == 3)
    }
  }

  @Test("the 33rd attribute is refused")
  func attributeLimit() throws {
    let actions = ProbeActions(request: { request in
      for number in 1...32 { try request.setAttribute("a\(number)", [1]) }
      #expect(throws: HostRefusal.attribute(name: "a33")) { try request.setAttribute("a33", [1]) }
      return nil
    })
    try ProbeActions.$current.withValue(actions) {
      let answer = try InProcessHost(.of(Probe<NoSettings>.self)).send("GET", "/x")
      #expect(answer.attributes.count == 32)
    }
  }
}
