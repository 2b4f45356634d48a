import Testing

@testable import RateLimitPlugin

@Suite("Limits as they are written")
struct LimitTests {
  private func limit(_ text: String) throws -> Limit { try Limit(parsing: text, ordinal: 1) }

  private func applies(_ limit: Limit, _ method: String, _ path: String) -> Bool {
    Array(path.utf8).withUnsafeBytes { limit.applies(to: method, path: $0) }
  }

  @Test("a rate alone counts everything by identity, and allows all of it at once")
  func rateAlone() throws {
    let limit = try limit("100/1m")
    #expect(limit.methods.isEmpty && limit.path == nil)
    #expect(limit.count == 100 && limit.period == 60_000_000_000 && limit.burst == 100)
    #expect(limit.partition == .identity)
    #expect(limit.name == "limit-1")
  }

  @Test("every part is read")
  func everything() throws {
    let limit = try limit("POST,PUT  /api/v1/*/login 5/90s burst 2 by header X-Tenant\tname login")
    #expect(limit.methods == ["POST", "PUT"])
    #expect(limit.path?.text == "/api/v1/*/login")
    #expect(limit.count == 5 && limit.period == 90_000_000_000 && limit.burst == 2)
    #expect(limit.partition == .header("X-Tenant"))
    #expect(limit.name == "login")
    #expect(limit.text == "POST,PUT /api/v1/*/login 5/90s burst 2 by header X-Tenant")
  }

  @Test("the parts after the rate stand in any order, and each may be left out")
  func order() throws {
    #expect(try limit("1/s name a by address").partition == .address)
    #expect(try limit("/x 1/250ms by api-key").partition == .header("X-API-Key"))
    #expect(try limit("GET 2/7d").period == 7 * 86_400 * 1_000_000_000)
    #expect(try limit("5/h").period == 3600 * 1_000_000_000)
  }

  @Test(
    "what is no limit is refused, and the reason names it",
    arguments: [
      ("", "needs a rate"), ("POST", "needs a rate"), ("POST /x", "needs a rate"),
      ("100", "no rate"), ("0/1m", "no rate"), ("-1/1m", "no rate"), ("+1/1m", "no rate"),
      ("1/2/3", "no rate"), ("99999999999999999999/1s", "no rate"),
      ("1/0s", "no duration"), ("1/5w", "no duration"), ("1/", "no duration"), ("1/1m30s", "no duration"),
      ("1/300000000000d", "no duration"), ("post /x 1/s", "in capitals"), ("POST,,GET 1/s", "no method"),
      ("OPTIONS 1/s", "never counted"), ("GET,OPTIONS 1/s", "never counted"), ("GET /x?y=1 1/s", "no path"),
      ("/a//b 1/s", "no path"), ("/a*b 1/s", "no path"), ("1/s burst", "from 1"), ("1/s burst 0", "from 1"),
      ("1/s burst x", "from 1"), ("1/s by", "one of"), ("1/s by ip", "one of"),
      ("1/s by header", "field name"), ("1/s by header a:b", "field name"), ("1/s name", "lower-case"),
      ("1/s name Login", "lower-case"), ("1/s name a\"b", "lower-case"), ("1/s burst 1 burst 2", "twice"),
      ("1/s by address by identity", "twice"), ("1/s brust 5", "none of"), ("1/s GET", "none of"),
      ("1/365d burst 200", "century"),
    ])
  func refused(text: String, says: String) {
    let error = #expect(throws: LimitError.self) { try limit(text) }
    #expect(error?.description.contains(says) == true, "\(String(describing: error))")
    #expect(error?.description.hasPrefix("limit = \(text)") == true)
  }

  @Test("two limits of one name, or that count the same, are refused")
  func duplicates() {
    #expect(throws: LimitError.self) { try Limit.parse(["1/s name a", "2/s name a"]) }
    #expect(throws: LimitError.self) { try Limit.parse(["1/s name a", "1/1s name b"]) }
    #expect(throws: LimitError.self) { try Limit.parse((1...33).map { "\($0)/s" }) }
  }

  @Test("a limit keeps its identity under another name and place, and loses it with any other change")
  func identifier() throws {
    let one = try limit("POST /x 5/1m by address name a").identifier
    #expect(try limit("POST /x 5/60s burst 5 by address name b").identifier == one)
    for other in [
      "GET /x 5/1m by address", "POST /y 5/1m by address", "POST /x 6/1m by address", "POST /x 5/1m",
    ] {
      #expect(try limit(other).identifier != one)
    }
  }

  @Test(
    "a limit counts its methods and paths, by whole segments",
    arguments: [
      ("1/s", "DELETE", "/anything", true), ("POST 1/s", "POST", "/", true), ("POST 1/s", "GET", "/", false),
      ("GET 1/s", "HEAD", "/", true), ("POST 1/s", "HEAD", "/", false),
      ("/api/v1 1/s", "GET", "/api/v1", true), ("/api/v1 1/s", "GET", "/api/v1/", true),
      ("/api/v1/ 1/s", "GET", "/api/v1", true), ("/api/v1 1/s", "GET", "/api/v1/x/y", true),
      ("/api/v1 1/s", "GET", "/api/v10", false), ("/api/v1 1/s", "GET", "/api", false),
      ("/api/*/login 1/s", "GET", "/api/v1/login", true), ("/api/*/login 1/s", "GET", "/api/login", false),
      ("/api/*/login 1/s", "GET", "/api/v1/x/login", false), ("/api/* 1/s", "GET", "/api", false),
      ("/api/* 1/s", "GET", "/api/", false), ("/api/* 1/s", "GET", "/api/x", true),
      ("/ 1/s", "GET", "/", true), ("/ 1/s", "GET", "/x", true),
    ])
  func scope(text: String, method: String, path: String, isCounted: Bool) throws {
    #expect(applies(try limit(text), method, path) == isCounted)
  }

  @Test("the fields have the draft's syntax")
  func fields() throws {
    let longest = String(repeating: "n", count: 40)
    #expect(try limit("100/1m burst 20 name api").policyItem == "\"api\";q=100;w=60")
    #expect(try limit("5/250ms name fast").policyItem == "\"fast\";q=5")
    let starts = [try limit("100/1m name api").stateStart, try limit("5/1h name \(longest)").stateStart]
    let field = String(unsafeUninitializedCapacity: 2 * StateField.longestItem) { buffer in
      var field = StateField(buffer)
      field.append(starts[0], remaining: 1234, reset: 29_000_000_001)
      field.append(starts[1], remaining: .max, reset: 0)
      return field.count
    }
    #expect(field == "\"api\";r=1234;t=30, \"\(longest)\";r=18446744073709551615;t=0")
  }

  @Test("an IPv6 client stands for its /64, and a mapped IPv4 one for itself")
  func networks() {
    func network(_ bytes: [UInt8]) -> [UInt8] { bytes.withUnsafeBytes { Array(RateLimitPlugin.network($0)) } }
    #expect(network([192, 0, 2, 1]) == [192, 0, 2, 1])
    let prefix: [UInt8] = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 2]
    #expect(network(prefix + [1, 2, 3, 4, 5, 6, 7, 8]) == prefix)
    #expect(network([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1]) == [192, 0, 2, 1])
    #expect(network([]) == [])
  }
}
