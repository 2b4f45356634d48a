import Glibc

/// The timers of a generation's plugins: one thread waits for the next that is due, and the pool fires it.
///
/// The thread is there only if a plugin has a timer, from when the generation serves.
final class PluginTimers: @unchecked Sendable {
  static let maxPerPlugin = 64
  /// Until a timer is tried again for which the pool had no room.
  private static let retryNanoseconds: UInt64 = 1_000_000_000

  private enum Phase {
    case starting, serving, ended
  }

  private let lock: UnsafeMutablePointer<pthread_mutex_t>
  private let changed: UnsafeMutablePointer<pthread_cond_t>
  // Guarded by `lock`, as are the schedules of the timers.
  private var phase = Phase.starting
  private var timers: [PluginTimer] = []

  init() {
    lock = .allocate(capacity: 1)
    changed = .allocate(capacity: 1)
    pthread_mutex_init(lock, nil)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(changed, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  /// Main thread, while the plugins start. Nil past `maxPerPlugin`, and later.
  func make(
    for plugin: Plugin, _ fire: @escaping PluginTimer.Function, _ state: UnsafeMutableRawPointer?
  ) -> PluginTimer? {
    locked {
      let count = timers.count { $0.plugin === plugin }
      guard phase == .starting, !plugin.isStarted, count < PluginTimers.maxPerPlugin else { return nil }
      let timer = PluginTimer(plugin, fire, state, owner: self)
      timers.append(timer)
      return timer
    }
  }

  var all: [PluginTimer] { locked { timers } }

  /// The generation serves from here on.
  func begin(on pool: BlockingPool) {
    let isWanted = locked {
      guard phase == .starting else { return false }
      phase = .serving
      return !timers.isEmpty
    }
    guard isWanted else { return }
    if !Thread.start(named: "timers", { self.run(on: pool) }) {
      Log.shared.write(.error, "no thread for the timers of plugins could be started: none fires")
    }
  }

  /// Nothing fires any more; what is under way goes on.
  func end() {
    locked {
      phase = .ended
      pthread_cond_signal(changed)
    }
  }

  fileprivate func change(_ timer: PluginTimer, _ body: (inout PluginTimer.Schedule) -> Void) {
    locked {
      body(&timer.schedule)
      pthread_cond_signal(changed)
    }
  }

  private func locked<R>(_ body: () -> R) -> R {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    return body()
  }

  private func run(on pool: BlockingPool) {
    pthread_mutex_lock(lock)
    while phase == .serving {
      let now = Clock.monotonic()
      for timer in timers where timer.schedule.isDue(at: now) { fire(timer, on: pool, at: now) }
      let next = timers.reduce(UInt64.max) { min($0, $1.schedule.wait) }
      guard next < .max else {
        pthread_cond_wait(changed, lock)
        continue
      }
      var until = timespec(tv_sec: Int(next / 1_000_000_000), tv_nsec: Int(next % 1_000_000_000))
      pthread_cond_timedwait(changed, lock, &until)
    }
    pthread_mutex_unlock(lock)
  }

  /// Called with `lock` held.
  private func fire(_ timer: PluginTimer, on pool: BlockingPool, at now: UInt64) {
    let isTaken = pool.submit(for: nil, of: timer.plugin.index) { frame in
      timer.fire(on: frame)
      self.change(timer) { $0.isFiring = false }
    }
    if isTaken {
      timer.schedule.begin(at: now)
    } else {
      timer.schedule.due = now + PluginTimers.retryNanoseconds
    }
  }
}

/// One of them: what `bh_timer *` points at. Lives as long as its generation.
final class PluginTimer: @unchecked Sendable {
  typealias Function = @convention(c) (UnsafeMutableRawPointer?) -> bh_status

  /// When it fires. In monotonic nanoseconds.
  struct Schedule: Equatable {
    /// `.max`: never.
    var due = UInt64.max
    /// 0: once.
    var period: UInt64 = 0
    var isFiring = false

    func isDue(at now: UInt64) -> Bool { !isFiring && due <= now }

    /// Until when there is nothing to be done about it.
    var wait: UInt64 { isFiring ? .max : due }

    mutating func set(delay: UInt64, period: UInt64, at now: UInt64) {
      due = now.addingReportingOverflow(delay).overflow ? .max : now + delay
      self.period = period
    }

    mutating func cancel() { due = .max }

    /// It fires. The next time keeps to the beat; beats that were missed are not made up for.
    mutating func begin(at now: UInt64) {
      isFiring = true
      guard period > 0 else {
        due = .max
        return
      }
      let missed = (now - due) / period
      let (ahead, isBeyond) = period.multipliedReportingOverflow(by: missed + 1)
      let (next, isPast) = due.addingReportingOverflow(ahead)
      due = isBeyond || isPast ? .max : next
    }
  }

  let plugin: Plugin
  private let function: Function
  private let state: UnsafeMutableRawPointer?
  private unowned(unsafe) let owner: PluginTimers
  /// Guarded by the owner's lock.
  fileprivate(set) var schedule = Schedule()

  fileprivate init(
    _ plugin: Plugin, _ function: @escaping Function, _ state: UnsafeMutableRawPointer?, owner: PluginTimers
  ) {
    self.plugin = plugin
    self.function = function
    self.state = state
    self.owner = owner
  }

  static func of(_ timer: OpaquePointer?) -> PluginTimer? {
    timer.map { Handle.object($0, PluginTimer.self) }
  }

  /// - Parameters: in nanoseconds; a period of less than a millisecond is one, 0 is once.
  func set(delay: UInt64, period: UInt64) {
    let now = Clock.monotonic()
    let period = period == 0 ? 0 : max(PluginTimer.shortestPeriod, period)
    owner.change(self) { $0.set(delay: delay, period: period, at: now) }
  }

  private static let shortestPeriod: UInt64 = 1_000_000

  func cancel() { owner.change(self) { $0.cancel() } }

  /// The plugin's function; with a frame, as any call of a plugin.
  func call() -> bh_status { function(state) }

  /// Thread: pool.
  fileprivate func fire(on frame: FaultFrame) {
    guard plugin.state == .active else { return }
    _ = plugin.takeError()
    frame.enter(
      plugin: plugin.index, phase: FaultFrame.Phase.timer, requestID: bh_bytes(), at: Clock.monotonic())
    let status = call()
    frame.leave()
    guard status != BH_OK else { return }
    let message = plugin.takeError() ?? "a timer returned \(status), with no message"
    plugin.fault(.threw, message: message, exchange: nil)
  }
}
