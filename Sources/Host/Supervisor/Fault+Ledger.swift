import Glibc

/// Faults as the ledger keeps them, read back.
extension Fault {
  /// Nil for what is no record of a fault.
  init?(_ json: JSONValue) {
    guard let id = json["id"].string, let plugin = json["plugin"].string,
      let reason = json["reason"].string.flatMap(Quarantine.Reason.init(rawValue:)),
      let message = json["message"].string, let at = json["at"].string.flatMap(Clock.realtime(rfc3339:))
    else { return nil }
    self.init(
      id: id, plugin: plugin, version: json["version"].string, sha256: json["sha256"].string, reason: reason,
      message: message, signal: json["signal"].string, realtime: at, requestID: json["request_id"].string,
      traceparent: json["traceparent"].string,
      request: json["request"].string, generation: json["generation"].integer ?? 0,
      backtrace: json["backtrace"].array.compactMap(\.string),
      isCollateral: json["collateral"].boolean == true, lastWords: json["last_words"].string)
  }
}

extension FaultLog {
  /// As many of a ledger's records as are shown.
  private static let inheritedCount = 64

  /// Takes in what generations before this one have left in the ledger.
  func inherit(from directory: String) {
    let known = Set(latest.map(\.id))
    let ids = FaultLedger.ids(in: directory).suffix(FaultLog.inheritedCount).filter { !known.contains($0) }
    inherit(ids.compactMap { FaultLedger.read($0, in: directory).flatMap(Fault.init) })
  }
}

extension Clock {
  /// Reads what `rfc3339` writes: `2025-08-15T03:04:05.678Z`.
  static func realtime(rfc3339 text: String) -> Int64? {
    let numbers = text.split { !("0"..."9").contains($0) }.map { Int($0) ?? -1 }
    guard numbers.count == 7, text.utf8.count == 24, text.hasSuffix("Z") else { return nil }
    var parts = tm()
    parts.tm_year = Int32(numbers[0] - 1900)
    parts.tm_mon = Int32(numbers[1] - 1)
    parts.tm_mday = Int32(numbers[2])
    parts.tm_hour = Int32(numbers[3])
    parts.tm_min = Int32(numbers[4])
    parts.tm_sec = Int32(numbers[5])
    return Int64(timegm(&parts)) * 1_000_000_000 + Int64(numbers[6]) * 1_000_000
  }
}
