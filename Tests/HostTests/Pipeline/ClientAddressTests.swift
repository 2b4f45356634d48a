import Testing

@testable import bulkhead

@Suite("Client address")
struct ClientAddressTests {
  /// The address that a host with these trusted proxies, the peer 127.0.0.1 among them, takes for the client's.
  private func client(_ fields: [(String, String)], trusted: String = "127.0.0.1, 10.0.0.0/8") throws
    -> String?
  {
    let host = try TestHost(host: "trusted-proxies = \(trusted)\ndiagnostics = public")
    return try host.send("GET", "/__diag/request", fields).member("client_address")
  }

  @Test(
    "X-Forwarded-For: the last address that is no trusted proxy's",
    arguments: [
      ("203.0.113.7", "203.0.113.7"),
      ("198.51.100.1, 203.0.113.7", "203.0.113.7"),
      ("203.0.113.7, 10.1.2.3", "203.0.113.7"),
      ("127.0.0.1, 203.0.113.7", "203.0.113.7"),
      ("203.0.113.7:4711", "203.0.113.7"),
      ("2001:db8::1", "2001:db8::1"),
      ("[2001:DB8:0::1]:443", "2001:db8::1"),
      ("::ffff:203.0.113.7", "203.0.113.7"),
      ("203.0.113.9, ::ffff:10.0.0.1", "203.0.113.9"),
      // Beyond what is no address nothing can be believed.
      ("203.0.113.7, unknown, 10.0.0.1", "10.0.0.1"),
      ("203.0.113.7, , 10.0.0.1", "203.0.113.7"),
      ("not-an-address", "127.0.0.1"),
      ("1.2.3.4.5", "127.0.0.1"), ("fe80::1%eth0", "127.0.0.1"), ("[::1", "127.0.0.1"),
    ])
  func forwardedFor(_ field: String, _ expected: String) throws {
    #expect(try client([("X-Forwarded-For", field)]) == expected)
  }

  @Test("several fields are one list, in their order")
  func several() throws {
    #expect(
      try client([("X-Forwarded-For", "198.51.100.1"), ("X-Forwarded-For", "203.0.113.7, 10.0.0.1")])
        == "203.0.113.7")
  }

  @Test(
    "Forwarded: likewise, and an element that does not say for whom ends the search",
    arguments: [
      ("for=203.0.113.7", "203.0.113.7"),
      ("For=\"[2001:db8::1]:4711\";proto=https", "2001:db8::1"),
      ("for=198.51.100.1, for=203.0.113.7;by=10.0.0.1", "203.0.113.7"),
      ("for=203.0.113.7, proto=https;by=10.0.0.1", "127.0.0.1"),
      ("for=203.0.113.7, for=_hidden", "127.0.0.1"),
      ("for=\"203.0.113.7, for=10.0.0.1", "203.0.113.7"),
    ])
  func forwarded(_ field: String, _ expected: String) throws {
    #expect(try client([("Forwarded", field)]) == expected)
  }

  @Test("a client cannot speak through the field that the proxy leaves alone")
  func bothFields() throws {
    for fields in [
      [("X-Forwarded-For", "203.0.113.7"), ("Forwarded", "for=198.51.100.1")],
      [("Forwarded", "for=198.51.100.1"), ("X-Forwarded-For", "203.0.113.7")],
    ] {
      // Nor does it have the address that it has made up: nobody says which of the two the proxy wrote.
      #expect(try client(fields) == "127.0.0.1")
    }
    for (list, forwarded, expected) in [
      ("203.0.113.7, 10.0.0.1", "for=203.0.113.7", "203.0.113.7"),
      ("198.51.100.1, 2001:db8::1", "for=\"[2001:DB8::1]\"", "2001:db8::1"),
      ("unknown", "for=_hidden", "127.0.0.1"), ("203.0.113.7", "for=_hidden", "127.0.0.1"),
    ] {
      #expect(try client([("X-Forwarded-For", list), ("Forwarded", forwarded)]) == expected)
    }
  }

  @Test("a peer that is not trusted is the client, whatever it says")
  func untrusted() throws {
    #expect(try client([("X-Forwarded-For", "203.0.113.7")], trusted: "10.0.0.0/8") == "127.0.0.1")
  }

  @Test(
    "diagnostics = loopback: a request that comes from elsewhere through a proxy here is refused",
    arguments: [
      ("", [("X-Forwarded-For", "203.0.113.7")]),
      ("127.0.0.1", [("X-Forwarded-For", "203.0.113.7")]),
      ("127.0.0.1", [("X-Forwarded-For", "127.0.0.1, 203.0.113.7")]),
      ("127.0.0.1", [("X-Forwarded-For", "unknown")]),
      ("127.0.0.1", [("X-Forwarded-For", "127.0.0.1"), ("Forwarded", "for=203.0.113.7")]),
      ("127.0.0.1", [("Forwarded", "for=203.0.113.7"), ("X-Forwarded-For", "127.0.0.1")]),
      ("127.0.0.1", [("Forwarded", "for=127.0.0.1, by=203.0.113.7")]),
      ("127.0.0.1", [("X-Real-IP", "203.0.113.7")]),
    ])
  func loopback(_ trusted: String, _ fields: [(String, String)]) throws {
    let host = try TestHost(host: trusted.isEmpty ? "" : "trusted-proxies = \(trusted)")
    #expect(try host.send("GET", "/__diag/plugins", fields).status == 403)
    #expect(try host.send("GET", "/__config", fields).status == 403)
    #expect(try host.send("GET", "/__diag/plugins").status == 200)
    #expect(try host.send("GET", "/__diag/ping", fields).status == 200)
  }

  @Test("diagnostics = loopback: a proxy here that passes on a client of this machine is let in")
  func localClient() throws {
    let host = try TestHost(host: "trusted-proxies = 127.0.0.1")
    #expect(try host.send("GET", "/__diag/plugins", [("X-Forwarded-For", "127.0.0.1")]).status == 200)
    #expect(try host.send("GET", "/__diag/plugins", [("Forwarded", "for=\"[::1]\"")]).status == 200)
    #expect(try host.send("GET", "/__diag/plugins", [("X-Real-IP", "127.0.0.1")]).status == 200)
  }
}
