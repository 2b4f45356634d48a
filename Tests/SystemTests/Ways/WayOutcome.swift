/// What came of a case.
struct WayOutcome: Sendable {
  var way: WayCase
  /// The reason for which the plugin is out, or `harmless`.
  var found = "?"
  /// What the record says.
  var message = ""
  var period = WayLoad.Period()
  /// What the request that misbehaved was answered.
  var answer = ""
  /// What is not as it must be; empty if all is.
  var problems: [String] = []
  /// The host cannot be used for another case.
  var isHostSpoilt = false

  var lost: Int {
    period.lost.count + period.refused + (way.endsWorker ? 0 : period.broken.count + period.starting)
  }

  /// Judges what the clients of the other routes met with.
  mutating func judgeClients() {
    if period.health > way.patience { problems.append("/health waited \(period.health) ms") }
    if !period.lost.isEmpty { problems.append("\(period.lost.count) lost: \(period.lost[0])") }
    if period.refused > 0 { problems.append("\(period.refused) connections refused") }
    if !way.endsWorker {
      if !period.broken.isEmpty { problems.append("\(period.broken.count) broken: \(period.broken[0])") }
      if period.starting > 0 { problems.append("\(period.starting) answered 'starting'") }
    }
    if period.served == 0 { problems.append("nobody was served") }
  }

  /// Judges what became of the plugin.
  ///
  /// - Parameter plugin: its entry in `/__diag/plugins`.
  mutating func judge(_ plugin: WayEntry) {
    found = plugin.isOut ? plugin.reason : "harmless"
    message = plugin.message
    switch way.result {
    case .harmless:
      if plugin.isOut { problems.append("it is out as \(found): \(message)") }
    case .maybe(let reasons):
      if plugin.isOut, !reasons.contains(found) { problems.append("it is out as \(found): \(message)") }
    case .out(let reasons):
      if !plugin.isOut {
        problems.append("it is \(plugin.state), and nobody is named")
      } else if !reasons.contains(found) {
        problems.append("it is out as \(found): \(message)")
      }
    }
    if plugin.isOut, message.isEmpty { problems.append("no message") }
    if let mentions = way.mentions, !message.contains(mentions) {
      problems.append("the message does not say \(mentions): \(message)")
    }
  }
}
