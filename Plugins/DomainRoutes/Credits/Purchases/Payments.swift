import PluginAPI
import SQL
import Synchronization

/// Purchases from their beginning to their credit, whoever dies in between. Any thread.
///
/// ```
/// written down as open ─▶ provider asked ─▶ paid: credited, in one transaction
///                              │      └───▶ declined
///                              ├─ it did not hear of it: void
///                              └─ no answer, or this process dies: stays open. The same key asks again under the same
///                                 id; and the purchase is looked for until the provider says what became of it.
/// ```
final class Payments: Sendable {
  /// How many payments may be under way at a time: a provider that is slow must not take all threads of the host.
  static let concurrency = 8
  /// When the provider does not know of a purchase this long after it was asked for, it never will. In milliseconds.
  static let grace: Int64 = 15 * 60_000

  private let provider: any PaymentProvider
  private let store: Store
  private let timeout: Duration
  private let log: @Sendable (LogLevel, String) -> Void
  private let underWay = Mutex(0)
  private let isStopping = Mutex(false)

  /// The plugin stops: what is under way in the background is given up.
  struct Stopping: Error {}

  init(
    _ provider: any PaymentProvider, store: Store, timeout: Duration,
    log: @escaping @Sendable (LogLevel, String) -> Void
  ) {
    self.provider = provider
    self.store = store
    self.timeout = timeout
    self.log = log
  }

  /// Past it the process that asked is taken to have died. In milliseconds.
  var checkAfter: Int64 { timeout.milliseconds + 1000 }

  /// Asks the provider for a purchase that is written down.
  ///
  /// - Parameter limit: What is left of the request's time.
  /// - Throws: `Problem` 503 if too many payments are under way, or no time is left; nothing was asked then.
  func charge(_ purchase: Purchase, within limit: Duration) throws -> PaymentOutcome {
    let isAdmitted = underWay.withLock { count in
      guard count < Self.concurrency else { return false }
      count += 1
      return true
    }
    guard isAdmitted else { return .notSent("too many payments are under way", retryAfter: .seconds(1)) }
    defer { underWay.withLock { $0 -= 1 } }
    let limit = min(timeout, limit - .seconds(1))
    guard limit > .milliseconds(100) else { return .notSent("no time is left", retryAfter: .seconds(1)) }
    return try provider.charge(purchase, within: limit, checkpoint: {})
  }

  /// Ends what `reconcile` is at.
  func stop() { isStopping.withLock { $0 = true } }

  private func goOn() throws { if isStopping.withLock({ $0 }) { throw Stopping() } }

  /// Looks for all purchases whose time has come.
  func reconcile() {
    do {
      while try reconcileNext() {}
    } catch is Stopping {
      log(.debug, "purchases that are open are looked for by the next process")
    } catch let error as DatabaseError where error.isTemporary {
      log(.debug, "the database is busy or away; purchases are looked for later")
    } catch {
      log(.error, "purchases could not be looked for: \(error)")
    }
  }

  /// Looks for the purchase that has been open for too long, if there is one.
  ///
  /// - Returns: False if there was none.
  /// - Throws: `DatabaseError`: it is looked for again later.
  func reconcileNext() throws -> Bool {
    // 2 s, 4 s, 8 s, … up to an hour.
    let due = try store.write { session in
      try PurchaseTable(session: session).takeDue { checks in min(2000 << min(checks, 11), 3_600_000) }
    }
    guard let purchase = due else { return false }
    var outcome = try provider.lookUp(purchase, within: timeout, checkpoint: goOn)
    if outcome == .notOffered {
      // To ask for the same payment again is the other way to learn of it, and makes no second one.
      try store.write { try PurchaseTable(session: $0).call(purchase.id, checkAfter: checkAfter) }
      outcome = try provider.charge(purchase, within: timeout, checkpoint: goOn)
    }
    try settle(purchase, outcome)
    return true
  }

  private func settle(_ purchase: Purchase, _ outcome: PaymentOutcome) throws {
    let name = "purchase \(purchase.id) of \(purchase.amount) credits"
    switch outcome {
    case .paid:
      guard try store.write({ try PurchaseTable(session: $0).pay(purchase) }) != nil else {
        return log(.error, "\(name) was paid, but had been closed: see to it by hand")
      }
      log(.info, "\(name) was found paid, and is credited")
    case .declined(let reason):
      if try store.write({ try PurchaseTable(session: $0).decline(purchase.id, reason: reason) }) {
        log(.info, "\(name) was found declined")
      }
    case .notFound:
      let isVoid = try store.write { session in
        try PurchaseTable(session: session).void(purchase.id, calledBefore: session.now - Self.grace)
      }
      if isVoid { log(.info, "\(name) never reached the payment provider, and is closed") }
    case .unknown(let why), .notSent(let why, _):
      // The first hour is for the provider to come back.
      let isOld = store.now - purchase.createdAt > 3_600_000
      log(isOld ? .error : .debug, "nobody knows yet whether \(name) was paid: \(why)")
    case .notOffered:
      break
    }
  }
}
