import SQL

/// Why no connection came about: in libpq's words, and by the SQLSTATEs of the servers that answered.
struct ConnectionRefusal {
  /// libpq's message.
  let said: String
  /// A server wants a password, and there is none.
  let lacksPassword: Bool
  /// Of each server that answered.
  var states: [String] = []

  init(said: String, lacksPassword: Bool) {
    self.said = said
    self.lacksPassword = lacksPassword
  }

  /// The one that tells most; empty if no server answered.
  var state: String { states.first(where: passes) ?? states.first ?? "" }

  /// Unavailable if a retry may be let in: at one of several servers is enough.
  var kind: DatabaseError.Kind {
    if !states.isEmpty { return states.contains(where: passes) ? .unavailable : .unusable }
    return lacksPassword || isLasting ? .unusable : .unavailable
  }

  /// What a server refuses for the time being; https://www.postgresql.org/docs/15/errcodes-appendix.html
  private func passes(_ state: String) -> Bool {
    switch state {
    // A standby; a database that is closed for maintenance (ALLOW_CONNECTIONS false).
    case "25006", "55000": true
    // Some servers have it for a limit of connections too.
    case "28000": said.contains("too many")
    // 08: poolers, when they or the server behind them have no room; 53: no memory, disk or slot left; 57: starting or
    // ending; 58: the machine's input and output.
    default: ["08", "53", "57", "58"].contains(state.prefix(2))
    }
  }

  /// Without a server's word: libpq itself is not content with the settings, or with the server's certificate. All else is
  /// the network's: refused, unreachable, no answer in time, a name that nobody knows yet.
  private var isLasting: Bool {
    let lines = said.split(whereSeparator: \.isNewline)
    let failures = lines.filter { $0.contains(" failed: ") }
    return (failures.isEmpty ? lines : failures).allSatisfy { line in
      Self.lasting.contains { line.contains($0) }
    }
  }

  /// In libpq's own words, which are English unless the process has called setlocale(3).
  private static let lasting = [
    "certificate", "does not support SSL", "SSL was required", "invalid ", "authentication", "password",
    "Permission denied",
  ]

  /// The SQLSTATEs in a message of the verbose kind: `FATAL:  53300: sorry, too many clients already`.
  static func states(in said: String) -> [String] {
    said.split(whereSeparator: \.isNewline).compactMap { line in
      guard let severity = line.firstRange(of: ":  ") else { return nil }
      let rest = line[severity.upperBound...]
      let state = rest.prefix(5)
      let isState = state.count == 5 && state.utf8.allSatisfy { 48...57 ~= $0 || 65...90 ~= $0 }
      return isState && rest.dropFirst(5).hasPrefix(": ") ? String(state) : nil
    }
  }
}
