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
    guard let address = try start.settings.redisAddress() else { return nil }
    let host = start.host
    let isUp = host.gauge("redis_up", help: "Whether counters are in Redis; 0: this host's own count")
    let losses = host.counter("redis_losses_total", help: "How often Redis was found to be away")
    let counters = try RedisCounters(
      address, limits: limits, connections: start.loopCount, timeout: start.settings.redisTimeout
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
