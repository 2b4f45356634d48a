/// What a worker tells its supervisor: one message a packet, text.
///
/// | message | meaning |
/// | --- | --- |
/// | `failed PLUGIN REASON MESSAGE` | it did not load, start or prove itself; before `ready` |
/// | `rejected TEXT` | settings in sections that were edited are wrong: it has started nothing, and ends |
/// | `ready` | the generation is prepared, and waits for `serve` |
/// | `taint PLUGIN REASON` | a thread is frozen in the plugin: replace this worker |
/// | `relapse PLUGIN REASON` | the same, of a plugin that was out since before this generation: its own threads do it |
/// | `fault JSON` | a record for the ledger |
/// | `record JSON` | the same, of a plugin that nothing is asked of any more: it is held against nobody |
/// | `request ID` and, on further lines, bytes | the redacted request of that record |
/// | `answer ok TEXT`, `answer no TEXT` | to the oldest question that has none yet |
/// | `operate LINE` | somebody with the admin token asks for it: a command as on the control socket |
/// | `passing` | since `handover` or `drain`: it takes no new connection any more |
/// | `unfit TEXT` | it cannot take connections any more, and why: replace this worker |
/// | `pong N` | the control thread is alive, and every loop: the answer to `ping N` |
/// | `dying` | a signal ends it before it has come to serve: it waits a moment for the supervisor to look where it stands |
///
/// The supervisor in turn says `serve`, `drain`, `adopt` and `handover` (with a descriptor), `faulted PLUGIN REASON` (in
/// another generation), `quarantine PLUGIN`, `release PLUGIN`, `bypass MODE`, `draining MODE`, `log-level LEVEL`, `status`
/// (these six are questions), `tampered PLUGIN TEXT`, `config JSON` (`ConfigurationStatus`), `history JSON` and `ping N`.
enum WorkerMessage: Sendable, Equatable {
  case failed(plugin: String, reason: Quarantine.Reason, message: String)
  case rejected(errors: String)
  case ready
  case taint(plugin: String, reason: Quarantine.Reason, isRelapse: Bool)
  case fault(json: [UInt8])
  case record(json: [UInt8])
  case request(id: String, bytes: [UInt8])
  case answer(isYes: Bool, text: String)
  case operate(line: String)
  case passing
  case unfit(String)
  case pong(Int)
  case dying

  /// In bytes: what fits into a socket's buffer.
  static let limit = 200 << 10

  /// Nil for what makes no sense.
  init?(_ packet: [UInt8]) {
    let word = packet.prefix { $0 != UInt8(ascii: " ") }
    let rest = Array(packet.dropFirst(word.count + 1))
    let text = String(decoding: rest, as: UTF8.self)
    switch String(decoding: word, as: UTF8.self) {
    case "ready": self = .ready
    case "passing": self = .passing
    case "operate": self = .operate(line: text)
    case "pong":
      guard let number = Int(text) else { return nil }
      self = .pong(number)
    case "dying": self = .dying
    case "rejected": self = .rejected(errors: text)
    case "record": self = .record(json: rest)
    case "unfit": self = .unfit(text)
    case "fault": self = .fault(json: rest)
    case "failed":
      let words = rest.split(separator: 0x20, maxSplits: 2, omittingEmptySubsequences: false)
        .map { String(decoding: $0, as: UTF8.self) }
      guard words.count >= 2, let reason = Quarantine.Reason(rawValue: words[1]) else { return nil }
      self = .failed(plugin: words[0], reason: reason, message: words.count > 2 ? words[2] : "")
    case let word where word == "taint" || word == "relapse":
      guard let (plugin, reason) = WorkerMessage.blame(text) else { return nil }
      self = .taint(plugin: plugin, reason: reason, isRelapse: word == "relapse")
    case "request":
      let id = rest.prefix { $0 != 0x0a }
      self = .request(id: String(decoding: id, as: UTF8.self), bytes: Array(rest.dropFirst(id.count + 1)))
    case "answer":
      let verdict = String(decoding: rest.prefix { $0 != 0x20 }, as: UTF8.self)
      guard verdict == "ok" || verdict == "no" else { return nil }
      self = .answer(isYes: verdict == "ok", text: String(decoding: rest.dropFirst(3), as: UTF8.self))
    default: return nil
    }
  }

  private static func blame(_ text: String) -> (String, Quarantine.Reason)? {
    let words = text.split(separator: " ").map(String.init)
    guard words.count == 2, let reason = Quarantine.Reason(rawValue: words[1]) else { return nil }
    return (words[0], reason)
  }
}
