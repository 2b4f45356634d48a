import Glibc
@_exported import LinuxShims

/// One thread's frame: which plugin is on its stack, for which request, since when; see FaultGuard.h.
///
/// In shared memory, so that whoever finds the worker dead can name the culprit.
struct FaultFrame: @unchecked Sendable {
  let guarded: UnsafeMutablePointer<guard_frame>

  /// What a frame's plugin is called for: `PluginPass.Phase`, and the calls that are no request's.
  enum Phase {
    static let start: UInt32 = 3
    static let pull: UInt32 = 4
    static let timer: UInt32 = 5
    static let stop: UInt32 = 6
    /// A handler that may block.
    static let blockingRoute: UInt32 = 7
  }

  static let maxRequestID = 108

  /// Tells threads apart, if not for ever: frames stand in a row.
  var number: Int { Int(bitPattern: guarded) / MemoryLayout<guard_frame>.size }

  /// The plugin named is about to be on this thread's stack.
  @inline(__always)
  func enter(plugin: Int, phase: UInt32, requestID: bh_bytes, at now: UInt64) {
    let count = min(requestID.count, FaultFrame.maxRequestID)
    if count > 0 { memcpy(&guarded.pointee.request_id, requestID.data, count) }
    guarded.pointee.request_id_count = UInt32(count)
    guard_enter(guarded, UInt32(plugin), phase, now)
  }

  /// The plugin has returned. Does not return itself if the watchdog has given the thread up.
  ///
  /// - Returns: what the plugin has left in the processor that is not its own, put right already: `GUARD_LEFT_EXCEPTIONS`,
  ///   `GUARD_LEFT_FLAGS`; 0 for nothing.
  @inline(__always)
  @discardableResult
  func leave() -> UInt32 { guard_leave(guarded) }

  /// The thread has lost its loop, as a call on it was slow. The thread's own to ask.
  @inline(__always)
  var hasLostLoop: Bool { guarded.pointee.has_lost_loop != 0 }

  /// The plugin on the stack, or the one that was when the thread froze; nil if none.
  var occupant: Occupant? {
    let owner = guard_owner(guarded)
    let plugin = Int(owner & UInt32(GUARD_PLUGIN_MASK))
    guard plugin > 0, plugin <= ConfigurationFile.maximumPlugins else { return nil }
    return Occupant(
      plugin: plugin - 1, owner: owner, phase: guarded.pointee.phase, since: guard_since(guarded),
      requestID: requestID, sentSignal: sentSignal.flatMap { $0.plugin == plugin - 1 ? $0.signal : nil } ?? 0,
      hasExited: guarded.pointee.has_exited != 0, faultedAt: guarded.pointee.faulted_at)
  }

  struct Occupant: Sendable, Equatable {
    var plugin: Int
    /// The word itself, by which the frame is taken.
    var owner: UInt32
    var phase: UInt32
    var since: UInt64
    var requestID = ""
    /// The signal that the plugin has sent to its own process; 0 for none.
    var sentSignal: Int32 = 0
    /// It has called exit(3).
    var hasExited = false
    /// When a fault was caught, monotonic.
    var faultedAt: UInt64 = 0

    /// When it was lost, or a moment before: a call that was given up was begun then.
    var lostAt: UInt64 { hasCrashed ? faultedAt : since }

    var hasCrashed: Bool { owner & UInt32(GUARD_CRASHED) != 0 }
    var isTaken: Bool { owner & UInt32(GUARD_TAKEN) != 0 }
  }

  /// The signal that a plugin on this thread has sent to its own process last, whether or not it has returned; nil for none.
  var sentSignal: (plugin: Int, signal: Int32)? {
    let sent = guarded.pointee.sent_signal
    return sent == 0 ? nil : (Int(sent >> 16) - 1, Int32(sent & 0xffff))
  }

  /// Supervisor: that signal has been seen to.
  func forgetSentSignal() { guarded.pointee.sent_signal = 0 }

  private var requestID: String {
    let count = min(Int(guarded.pointee.request_id_count), FaultFrame.maxRequestID)
    return withUnsafeBytes(of: guarded.pointee.request_id) {
      String(decoding: $0.prefix(count), as: UTF8.self)
    }
  }
}
