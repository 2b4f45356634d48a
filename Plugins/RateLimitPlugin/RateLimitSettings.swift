import PluginAPI
import Redis

struct RateLimitSettings: PluginSettings {
  var limit: [String]
  var tableSize: Int
  var store: String
  var redisTimeout: Duration

  static var schema: [Setting] {
    [
      Setting(
        "limit", .string, required: true, repeatable: true,
        help: "[METHOD[,METHOD]] [[=]PATH] COUNT/DURATION [burst N] "
          + "[by identity|address|api-key|header NAME] [name NAME]; a request must pass all that apply"),
      Setting(
        "table-size", .integer, default: "65536",
        help: "clients counted at once, over all limits, at 16 bytes each; "
          + "those past it share one counter a limit"),
      Setting(
        "store", .string, default: "local", secret: true,
        help: "where counters are: local, or redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], which several "
          + "machines can share; while Redis is away, each counts by itself"),
      Setting(
        "redis-timeout", .duration, default: "20ms",
        help: "how long a request may wait for Redis, 1ms to 1s; then Redis is taken to be away"),
    ]
  }

  /// - Throws: `SettingsError`; `LimitError`, naming the line.
  func check() throws {
    guard (16...1 << 26).contains(tableSize) else {
      throw SettingsError(key: "table-size", reason: "\(tableSize) is not within 16...\(1 << 26)")
    }
    _ = try Limit.parse(limit)
    _ = try redisAddress()
  }

  /// Where the counters are; nil: here.
  ///
  /// - Throws: `SettingsError`.
  func redisAddress() throws -> RedisAddress? {
    guard store != "local" else { return nil }
    guard (Duration.milliseconds(1)...Duration.seconds(1)).contains(redisTimeout) else {
      throw SettingsError(key: "redis-timeout", reason: "\(redisTimeout) is not within 1ms...1s")
    }
    do throws(RedisAddressError) { return try RedisAddress(parsing: store) } catch {
      throw SettingsError(key: "store", reason: "\(error); write local, or redis://HOST:PORT")
    }
  }
}
