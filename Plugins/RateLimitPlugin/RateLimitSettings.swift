import PluginAPI

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
}
