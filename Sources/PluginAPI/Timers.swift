import PluginABI

extension Host {
  /// A timer, for work that no request asks for: cleaning up, refreshing, reporting.
  ///
  /// ```swift
  /// init(_ start: Start<Settings>) throws {
  ///   let store = try Store(start.settings)
  ///   try start.host.timer { try store.removeExpired() }.start(every: .seconds(60))
  /// }
  /// ```
  ///
  /// It fires while this plugin's generation serves, on the host's pool: it may block, for the plugin's `timeout` at most (30 s
  /// if none is set). One call at a time. What it throws is a fault of the plugin, as are a trap and a hang in it.
  ///
  /// Thread: main, in `init`. `action` is kept as long as the process; the last call of it has returned before `stop`.
  ///
  /// - Throws: ``HostRefusal/timer`` past 64 of one plugin or after `init`; ``HostRefusal/missingExtension(_:)``.
  public func timer(_ action: @escaping @Sendable () throws -> Void) throws -> HostTimer {
    guard let table = find(BH_TIMERS, bh_timers.self, upTo: \.cancel) else {
      throw HostRefusal.missingExtension(BH_TIMERS)
    }
    let state = Unmanaged.passRetained(TimerAction(self, action))
    guard let timer = table.pointee.make(context, fireTimer, state.toOpaque()) else {
      state.release()
      throw HostRefusal.timer
    }
    return HostTimer(table: table, timer: timer)
  }
}

/// A timer of the host's, from ``Host/timer(_:)``. Any thread.
public struct HostTimer: @unchecked Sendable {
  // Invariant: both live as long as the plugin, and the host's functions are safe on any thread.
  let table: UnsafePointer<bh_timers>
  let timer: OpaquePointer

  /// Fires once, after `delay`; in the place of what was set before.
  public func start(after delay: Duration) {
    table.pointee.set(timer, delay.wholeNanoseconds, 0)
  }

  /// Fires each `period`, at first after one; in the place of what was set before. What falls due while a call is under way
  /// is one call, right after it.
  ///
  /// - Parameter period: Above zero.
  public func start(every period: Duration) {
    start(after: period, every: period)
  }

  /// Fires after `delay`, and from then on each `period`. As ``start(every:)``.
  public func start(after delay: Duration, every period: Duration) {
    table.pointee.set(timer, delay.wholeNanoseconds, max(1, period.wholeNanoseconds))
  }

  /// Fires no more until it is started again. A call that is under way goes on.
  public func cancel() { table.pointee.cancel(timer) }
}

/// Behind a timer's `state`.
private final class TimerAction: Sendable {
  let host: Host
  let action: @Sendable () throws -> Void

  init(_ host: Host, _ action: @escaping @Sendable () throws -> Void) {
    self.host = host
    self.action = action
  }
}

private let fireTimer: @convention(c) (UnsafeMutableRawPointer?) -> bh_status = { state in
  guard let state else { return Status.fault }
  let timer = Unmanaged<TimerAction>.fromOpaque(state).takeUnretainedValue()
  do {
    try timer.action()
    return Status.ok
  } catch {
    return timer.host.fail(error)
  }
}
