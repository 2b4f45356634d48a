import Glibc
import PluginAPI

/// A way to die. Each is the real thing, so written that the optimiser cannot see it coming.
enum Fault: String, CaseIterable, Decodable, Sendable {
  /// A Swift error that is no `Problem`.
  case `throw`
  /// A `Problem`: no fault at all, but a refusal with the status 418.
  case problem
  /// `fatalError`.
  case trap
  /// An array's index out of range.
  case index
  /// `nil`, unwrapped by force.
  case `nil`
  /// An `Int` past its largest value.
  case overflow
  /// A write to address 0.
  case segv
  /// abort(3).
  case abort
  /// Recursion without end.
  case stack
  /// Sleeps for ever.
  case hang
  /// Computes for ever.
  case spin
  /// exit(3), with the status 3.
  case exit
  /// 64 MiB that are used and never freed, each time.
  case leak
  /// `fatalError` on a thread of the plugin's own. The call itself returns.
  case backgroundTrap = "background-trap"

  /// - Parameter seed: Any number that is not known when this is compiled, and above 0.
  func happen(seed: Int) throws {
    switch self {
    case .throw: throw AskedFor(fault: rawValue)
    case .problem:
      throw Problem(status: 418, code: "asked-for", title: "Asked For", detail: "A problem is no fault.")
    case .trap: fatalError("trap, as asked for")
    case .index: keep([1, 2, 3][seed &+ 1_000_000])
    case .nil: keep(Int(String(repeating: "x", count: seed))!)
    case .overflow: keep(Int.max - 1 + seed + 1)
    case .segv: writeToNull(seed)
    case .abort: Glibc.abort()
    case .stack: keep(descend(seed, nil))
    case .hang: while true { sleep(3600) }
    case .spin: while true { keep(Int(clock())) }
    case .exit: Glibc.exit(3)
    case .leak: useForEver(byteCount: 64 << 20)
    case .backgroundTrap: trapInBackground()
    }
  }
}

/// What `throw` throws.
struct AskedFor: Error, CustomStringConvertible {
  let fault: String
  var description: String { "thrown, as asked for" }
}

/// A use of a value that the optimiser must not remove.
@inline(never) @_optimize(none) private func keep(_ value: Int) {}

/// 0, though no optimiser knows it.
@inline(never) @_optimize(none) private func zero(_ seed: Int) -> Int { seed &- seed }

/// Null, by way of an address that is not: `bitPattern: 0` would be `nil`, and trap.
private func writeToNull(_ seed: Int) {
  guard let page = UnsafeMutablePointer<UInt8>(bitPattern: 4096 + zero(seed)) else { return }
  (page - 4096 - zero(seed)).pointee = 1
}

/// Each frame is needed by the next one and after it, so that no loop can stand for them.
@inline(never) private func descend(_ depth: Int, _ above: UnsafeMutablePointer<Int>?) -> Int {
  var here = depth
  return withUnsafeMutablePointer(to: &here) { pointer in
    let below = descend(depth &+ 1, pointer)
    return below &+ pointer.pointee &+ (above?.pointee ?? 0)
  }
}

private func useForEver(byteCount: Int) {
  guard let memory = malloc(byteCount) else { return }
  for offset in stride(from: 0, to: byteCount, by: 4096) {
    memory.storeBytes(of: UInt8(truncatingIfNeeded: offset >> 12), toByteOffset: offset, as: UInt8.self)
  }
  keep(Int(bitPattern: memory))
}

private func trapInBackground() {
  var thread = pthread_t()
  let status = pthread_create(&thread, nil, { _ in fatalError("trap on a thread of the plugin's own") }, nil)
  if status == 0 { pthread_detach(thread) }
}
