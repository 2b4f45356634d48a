import PluginAPI
import Redis

extension RateLimiter {
  /// How long a start waits for Redis at most: longer than a connection may take. One that is there is found within
  /// milliseconds, and until then the generation before serves.
  private static let startTime = Duration.seconds(1)

  /// The counters in Redis, if the settings name one. That it is away is no reason not to start: it is looked for
  /// until it is there.
  ///
  /// - Throws: `SettingsError`, or what of the system's libraries is missing.
  static func redis(_ start: Start<RateLimitSettings>, _ limits: [Limit]) throws -> RedisCounters? {
    let settings = start.settings
    guard settings.store != "local" else { return nil }
    guard (Duration.milliseconds(1)...Duration.seconds(1)).contains(settings.redisTimeout) else {
      throw SettingsError(
        key: "redis-timeout", reason: "\(settings.redisTimeout) is not within 1ms...1s")
    }
    let address: RedisAddress
    do throws(RedisAddressError) { address = try RedisAddress(parsing: settings.store) } catch {
      throw SettingsError(key: "store", reason: "\(error); write local, or redis://HOST:PORT")
    }
    let host = start.host
    let isUp = host.gauge("redis_up", help: "Whether counters are in Redis; 0: this host's own count")
    let losses = host.counter("redis_losses_total", help: "How often Redis was found to be away")
    let counters = try RedisCounters(
      address, limits: limits, connections: start.loopCount, timeout: settings.redisTimeout
    ) { change in
      switch change {
      case .connected:
        isUp.set(1)
        host.log(.info, "Redis at \(address) is there: it counts")
      case .away(let error):
        isUp.set(0)
        losses.add()
        host.log(
          .warning,
          "Redis at \(address) is away (\(error)): this host counts by itself until Redis is back")
      }
    }
    try counters.pool.start(waiting: startTime)
    return counters
  }
}
