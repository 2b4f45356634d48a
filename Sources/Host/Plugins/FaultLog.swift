import Synchronization

/// One fault of one plugin, as diagnostics show it. Holds no secret: of the request it keeps method, path and id.
struct Fault: Sendable {
  var id: String
  var plugin: String
  var version: String?
  var sha256: String?
  var reason: Quarantine.Reason
  /// What the plugin or the loader said; redacted nowhere, so a plugin must put no secret into an error.
  var message: String
  var signal: String?
  var realtime: Int64
  var requestID: String?
  var traceparent: String?
  /// Method and path.
  var request: String?
  var generation: Int
  /// Functions on the stack, innermost first; empty for what was thrown.
  var backtrace: [String] = []
  /// It came when nothing was asked of the plugin any more: it is on record, and held against nobody.
  var isAfterService = false
  /// An earlier fault had spoilt its worker. This one is recorded, and takes no plugin out.
  var isCollateral = false
  /// What the worker wrote to its standard output and error in its last moments; nil if it wrote nothing.
  var lastWords: String?
}

/// The latest faults of a generation, those handed down by the one before included.
final class FaultLog: Sendable {
  static let capacity = 256
  private let faults = Mutex<[Fault]>([])
  private let generation: Int
  /// A fault has spoilt the worker. Later faults are recorded, and take no plugin out.
  let isTainted = Atomic<Bool>(false)
  /// Tells whoever keeps records; set before any plugin is loaded.
  nonisolated(unsafe) var onRecord: (Fault, Exchange?) -> Void = { _, _ in }

  init(generation: Int, inherited: [Fault] = []) {
    self.generation = generation
    faults.withLock { $0 = inherited }
  }

  /// Any thread.
  func record(
    plugin: Plugin, reason: Quarantine.Reason, message: String, signal: String? = nil, exchange: Exchange?,
    backtrace: [String] = [], isAfterService: Bool = false, isCollateral: Bool = false
  ) -> Fault {
    let fault = Fault(
      id: FaultLog.newID(), plugin: plugin.name, version: plugin.library?.version, sha256: plugin.sha256,
      reason: reason, message: message, signal: signal, realtime: Clock.realtime(),
      requestID: exchange?.request.pointee.request_id.string,
      traceparent: exchange?.request.pointee.traceparent.string,
      request: exchange.map { "\($0.request.pointee.method_name.string) \($0.request.pointee.path.string)" },
      generation: generation, backtrace: backtrace, isAfterService: isAfterService,
      isCollateral: isCollateral)
    add(fault)
    onRecord(fault, exchange)
    return fault
  }

  func add(_ fault: Fault) {
    faults.withLock { faults in
      if faults.count == FaultLog.capacity { faults.removeFirst() }
      faults.append(fault)
    }
  }

  /// Puts older faults, oldest first, before those that are here. What is here of a death that an older one tells of, and tells
  /// more of, is left out.
  func inherit(_ older: [Fault]) {
    let explained = older.filter { !$0.backtrace.isEmpty }
    faults.withLock { faults in
      let own = faults.filter { fault in
        !fault.backtrace.isEmpty
          || !explained.contains {
            $0.plugin == fault.plugin && $0.reason == fault.reason && $0.message == fault.message
          }
      }
      faults = Array((older + own).suffix(FaultLog.capacity))
    }
  }

  /// Newest first.
  var latest: [Fault] { faults.withLock { $0.reversed() } }

  /// The latest that is held against the plugin.
  func last(of plugin: String) -> Fault? {
    faults.withLock { $0.last { $0.plugin == plugin && !$0.isCollateral } }
  }

  static func newID() -> String {
    var bytes = [UInt8](repeating: 0, count: 8)
    bytes.withUnsafeMutableBytes { Randomness.fill($0) }
    return String(
      decoding: bytes.flatMap { [hexadecimalDigit($0 >> 4), hexadecimalDigit($0 & 15)] }, as: UTF8.self)
  }
}
