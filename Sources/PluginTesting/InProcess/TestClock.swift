import PluginABI
import PluginAPI
import Synchronization

/// The time of a plugin's timers, which stands still until a test moves it. Any thread.
final class TestClock: Sendable {
  private struct State {
    var isOpen = true
    /// Since the plugin was started.
    var now = Duration.zero
    var timers: [TestTimer] = []
  }

  private let state = Mutex(State())

  /// No timer can be made any more.
  func close() { state.withLock { $0.isOpen = false } }

  func makeTimer(_ fire: @escaping TestTimer.Function, _ argument: UnsafeMutableRawPointer?) -> TestTimer? {
    let timer = TestTimer(self, fire, argument)
    return state.withLock { state in
      guard state.isOpen, state.timers.count < 64 else { return nil }
      state.timers.append(timer)
      return timer
    }
  }

  /// - Parameters: In nanoseconds; a delay of `.max` is never, a period of 0 is once.
  func set(_ timer: TestTimer, delay: UInt64, period: UInt64) {
    state.withLock { state in
      timer.schedule.withLock {
        $0.due = delay == .max ? nil : state.now + .nanoseconds(Int64(clamping: delay))
        $0.period = period == 0 ? nil : .nanoseconds(Int64(clamping: period))
      }
    }
  }

  func advance(by duration: Duration, fault: () -> PluginFault) throws {
    let end = state.withLock { $0.now } + duration
    while let timer = takeNext(until: end) {
      guard timer.fire() == HostTable.ok else { throw fault() }
    }
    state.withLock { $0.now = end }
  }

  /// The next that is due, the time being moved to that, and the timer set for its next turn.
  private func takeNext(until end: Duration) -> TestTimer? {
    state.withLock { state in
      var next: (timer: TestTimer, due: Duration)?
      for timer in state.timers {
        guard let due = timer.schedule.withLock({ $0.due }), due <= end,
          due < next?.due ?? .seconds(Int64.max)
        else { continue }
        next = (timer, due)
      }
      guard let next else { return nil }
      state.now = max(state.now, next.due)
      next.timer.schedule.withLock { $0.due = $0.period.map { next.due + $0 } }
      return next.timer
    }
  }
}

/// What `bh_timer *` points at.
final class TestTimer: Sendable {
  typealias Function = @convention(c) (UnsafeMutableRawPointer?) -> bh_status

  struct Schedule {
    /// `nil`: never.
    var due: Duration?
    /// `nil`: once.
    var period: Duration?
  }

  unowned let clock: TestClock
  let schedule = Mutex(Schedule())
  private let function: Function
  // The plugin's, which says that it may be used on any thread.
  nonisolated(unsafe) private let argument: UnsafeMutableRawPointer?

  init(_ clock: TestClock, _ function: @escaping Function, _ argument: UnsafeMutableRawPointer?) {
    self.clock = clock
    self.function = function
    self.argument = argument
  }

  func fire() -> bh_status { function(argument) }

  var pointer: OpaquePointer { OpaquePointer(Unmanaged.passUnretained(self).toOpaque()) }

  static func at(_ pointer: OpaquePointer) -> TestTimer {
    Unmanaged<TestTimer>.fromOpaque(UnsafeRawPointer(pointer)).takeUnretainedValue()
  }
}
