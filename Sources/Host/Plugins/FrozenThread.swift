import Glibc
import LinuxShims

/// What the signal handler, or the watchdog, left in the frame of a thread that will not come back.
struct FrozenThread {
  /// The signal's name; nil if the thread hangs.
  let signal: String?
  let message: String
  let counters: [UInt64]

  init(_ frame: FaultFrame, timeout: UInt64) {
    let left = frame.guarded.pointee
    guard guard_owner(frame.guarded) & UInt32(GUARD_CRASHED) != 0 else {
      signal = nil
      message = "did not come back within \(timeout / 1_000_000) ms"
      FrozenThread.awaitAnswer(in: frame)
      counters = FrozenThread.counters(in: frame)
      return
    }
    let name = FrozenThread.name(of: left.signal)
    signal = name
    let isAboutMemory = left.signal == SIGSEGV || left.signal == SIGBUS
    message = isAboutMemory ? "\(name) at address 0x\(String(left.address, radix: 16))" : name
    counters = FrozenThread.counters(in: frame)
  }

  /// What the thread has put down: where it crashed, or where it stands, if it has been asked.
  static func counters(in frame: FaultFrame) -> [UInt64] {
    let count = min(Int(guard_counter_count(frame.guarded)), Int(GUARD_MAX_COUNTERS))
    return withUnsafeBytes(of: frame.guarded.pointee.counters) {
      Array($0.bindMemory(to: UInt64.self).prefix(count))
    }
  }

  /// The thread was asked where it stands when it was given up (`guard_ask`). One that blocks signals does not say.
  static func awaitAnswer(in frame: FaultFrame) {
    for _ in 0..<100 where guard_counter_count(frame.guarded) == 0 { usleep(1000) }
  }

  static func name(of signal: Int32) -> String {
    switch signal {
    case SIGILL: "SIGILL"
    case SIGTRAP: "SIGTRAP"
    case SIGSEGV: "SIGSEGV"
    case SIGBUS: "SIGBUS"
    case SIGFPE: "SIGFPE"
    case SIGABRT: "SIGABRT"
    case SIGSYS: "SIGSYS"
    case SIGUSR2: "SIGUSR2"
    case SIGALRM: "SIGALRM"
    case SIGPIPE: "SIGPIPE"
    default: "signal \(signal)"
    }
  }
}
