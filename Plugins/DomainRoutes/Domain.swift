import PluginAPI
import SQL
import Synchronization

/// What all routes share: the database, and what the settings say. Any thread.
final class Domain: Sendable {
  let store: Store
  let mount: String
  let signupCredits: Int64
  let redemptionCodes: [String: RedemptionCode]
  /// In milliseconds.
  let idempotencyWindow: Int64
  let models: ModelCatalogue
  let media: any MediaStore
  /// What generations make: `image/png`, or `image/*` if the provider chooses.
  let mediaType: String
  let workers: JobWorkers
  /// nil: purchases are not offered.
  let payments: Payments?
  private let reconciler: RepeatingThread?
  let unreleased = Mutex<[UnreleasedClaim]>([])
  /// By their bytes, as the database tells them apart: to Swift, texts that differ only in their normal form are equal.
  private let knownUsers = Mutex<Set<[UInt8]>>([])

  /// - Throws: `SettingsError`; `DatabaseError` if the database cannot be used, `MediaError` if the state directory cannot.
  init(_ start: Start<DomainSettings>) throws {
    let settings = start.settings
    let host = start.host
    mount = start.mount
    signupCredits = settings.signupCredits
    redemptionCodes = try RedemptionCode.table(settings.redeemCode)
    idempotencyWindow = settings.idempotencyWindow.milliseconds
    models = try ModelCatalogue(settings.model)
    store = try Store(try settings.databaseSetting(), directory: start.stateDirectory) {
      host.realtimeNanoseconds / 1_000_000
    }
    if let error = store.awayAtStart {
      host.log(.warning, "the database is away, and is looked for at each request: \(error)")
    }
    media = try store.makeMediaStore(directory: start.stateDirectory)
    mediaType = settings.generationProvider == .local ? "image/png" : "image/*"
    workers = JobWorkers(
      JobRunner(
        store: store, media: media, models: models, lease: settings.jobLease.milliseconds,
        attempts: Int64(settings.jobAttempts), metrics: JobMetrics(host), log: { host.log($0, $1) },
        provider: try settings.makeGenerationProvider(host)),
      threads: settings.workers, idempotencyWindow: idempotencyWindow)
    payments = try settings.makePayments(store, host)
    reconciler = payments.map { payments in
      RepeatingThread(every: 1000) { payments.reconcile() }
    }
  }

  /// Begins to work in the background. [main]
  /// - Throws: `ThreadError`; what was begun is stopped then.
  func start() throws {
    try workers.start()
    do {
      try reconciler?.start()
    } catch {
      stop()
      throw error
    }
  }

  /// Ends what `start` began. [main]
  func stop() {
    payments?.stop()
    reconciler?.stop(within: 5000)
    workers.stop()
  }

  /// Opens the account of a user who is seen for the first time.
  func welcome(_ user: String) throws {
    let key = [UInt8](user.utf8)
    if knownUsers.withLock({ $0.contains(key) }) { return }
    if try !store.read({ try Ledger(session: $0).hasAccount(user) }) {
      try store.write { try Ledger(session: $0).openAccount(user, bonus: signupCredits) }
    }
    // Accounts are never closed, so this stays true. Bounded: it is only a memory of the database.
    knownUsers.withLock { users in
      if users.count >= 10_000 { users.removeAll() }
      users.insert(key)
    }
  }

  /// Checks that the guards of the schema are there, and the latest entries of the ledger agree with their accounts. Of a
  /// database that is away, or busy for too long, nothing can be said: its routes answer for themselves.
  func selfTest() throws {
    guard store.awayAtStart == nil else { return }
    do {
      try store.read { session in
        let audit = LedgerAudit(session: session)
        let faults = try audit.missingGuards().map { "the database lacks \($0)" } + audit.recentViolations()
        guard faults.isEmpty else { throw SelfTestFailure(faults: faults) }
      }
    } catch let error as DatabaseError where error.isTemporary {
      return
    }
  }
}

struct SelfTestFailure: Error, CustomStringConvertible {
  let faults: [String]
  var description: String { faults.joined(separator: "; ") }
}
