import Foundation
import SQL
import Synchronization

/// An engine whose process is killed at a step: before the n-th time that anything is asked of a connection, and so after
/// the one before.
struct DyingEngine: Engine {
  let engine: any Engine
  let countdown: Countdown

  /// What is left of a process's life, in steps.
  final class Countdown: Sendable {
    private let left: Mutex<Int?>

    /// - Parameter steps: nil: it does not die.
    init(_ steps: Int? = nil) { left = Mutex(steps) }

    func begin(_ steps: Int) { left.withLock { $0 = steps } }

    /// How many steps are left, or were more than there were to live.
    var remaining: Int? { left.withLock { $0 } }

    /// Dies as by the kernel's hand: nothing is unwound, nothing is flushed.
    func step() {
      let isOver = left.withLock { left in
        guard let steps = left else { return false }
        left = steps - 1
        return steps == 0
      }
      if isOver { kill(getpid(), SIGKILL) }
    }
  }

  var dialect: Dialect { engine.dialect }
  var isRemote: Bool { false }

  func connect() throws(DatabaseError) -> any Driver {
    DyingDriver(driver: try engine.connect(), countdown: countdown)
  }
}

private final class DyingDriver: Driver {
  private let driver: any Driver
  private let countdown: DyingEngine.Countdown

  init(driver: any Driver, countdown: DyingEngine.Countdown) {
    self.driver = driver
    self.countdown = countdown
  }

  var dialect: Dialect { driver.dialect }
  var isInTransaction: Bool { driver.isInTransaction }
  func isUsable() -> Bool { driver.isUsable() }

  func run(_ sql: String, _ bindings: [SQLValue]) throws(DatabaseError) -> StatementResult {
    countdown.step()
    return try driver.run(sql, bindings)
  }
  func execute(_ script: String) throws(DatabaseError) {
    countdown.step()
    try driver.execute(script)
  }
  func begin(_ mode: TransactionMode) throws(DatabaseError) {
    countdown.step()
    try driver.begin(mode)
  }
  func commit() throws(DatabaseError) {
    countdown.step()
    try driver.commit()
  }
  func rollBack() throws(DatabaseError) {
    countdown.step()
    try driver.rollBack()
  }
  func beginMigration() throws(DatabaseError) {
    countdown.step()
    try driver.beginMigration()
  }
  func schemaVersion() throws(DatabaseError) -> Int {
    countdown.step()
    return try driver.schemaVersion()
  }
  func setSchemaVersion(_ version: Int) throws(DatabaseError) {
    countdown.step()
    try driver.setSchemaVersion(version)
  }
  func schemaObjects() throws(DatabaseError) -> Set<String> {
    countdown.step()
    return try driver.schemaObjects()
  }
}
