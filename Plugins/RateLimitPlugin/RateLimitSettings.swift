import PluginAPI

struct RateLimitSettings: PluginSettings {
  var limit: [String]
  var tableSize: Int

  static var schema: [Setting] {
    [
      Setting(
        "limit", .string, required: true, repeatable: true,
        help: "[METHOD[,METHOD]] [PATH] COUNT/DURATION [burst N] "
          + "[by identity|address|api-key|header NAME] [name NAME]; a request must pass all that apply"),
      Setting(
        "table-size", .integer, default: "65536",
        help: "clients counted at once, over all limits, at 16 bytes each; "
          + "those past it share one counter a limit"),
    ]
  }
}
