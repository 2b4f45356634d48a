import Testing

@testable import Redis

@Suite("Where a Redis is")
struct RedisAddressTests {
  @Test("host, port, database and credentials, each with its default")
  func parts() throws {
    let plain = try RedisAddress(parsing: "redis://cache.example")
    #expect(plain.host == "cache.example" && plain.port == 6379 && plain.database == 0)
    #expect(plain.user.isEmpty && plain.password.isEmpty)
    let whole = try RedisAddress(parsing: "redis://ada:s%40e%2Fcret@10.0.0.1:7000/3")
    #expect(whole.host == "10.0.0.1" && whole.port == 7000 && whole.database == 3)
    #expect(whole.user == "ada" && whole.password == "s@e/cret")
    let password = try RedisAddress(parsing: "redis://:se:cret@[2001:db8::1]:6380/")
    #expect(password.user.isEmpty && password.password == "se:cret")
    #expect(password.host == "2001:db8::1" && password.port == 6380 && password.database == 0)
    #expect(try RedisAddress(parsing: "redis://[::1]").port == 6379)
  }

  @Test("neither user nor password is shown")
  func shown() throws {
    #expect("\(try RedisAddress(parsing: "redis://ada:secret@[::1]/2"))" == "[::1]:6379/2")
    for text in [
      "redis://ada:secret@h:x", "redis://ada:secret%@h", "redis://ada:secret@h/x", "redis://ada:secret@",
    ] {
      let error = #expect(throws: RedisAddressError.self) { try RedisAddress(parsing: text) }
      #expect(error?.description.contains("secret") == false, "\(text)")
    }
  }

  @Test(
    "what is no address of a Redis is refused",
    arguments: [
      "", "local", "redis:h", "http://h", "rediss://h", "redis://", "redis://:6379", "redis://h:0",
      "redis://h:65536", "redis://h:1x", "redis://::1:6379", "redis://[::1]x", "redis://h/a", "redis://h/-1",
      "redis://ada@h", "redis://h?db=1", "redis+unix:///run/redis.sock", "unix:/run/redis.sock",
    ])
  func refused(_ text: String) {
    #expect(throws: RedisAddressError.self) { try RedisAddress(parsing: text) }
  }

  @Test("TLS is refused with what to do instead")
  func tls() {
    let error = #expect(throws: RedisAddressError.self) { try RedisAddress(parsing: "rediss://h") }
    #expect(error?.description.contains("TLS") == true)
  }
}
