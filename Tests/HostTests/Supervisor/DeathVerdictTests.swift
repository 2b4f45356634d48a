import Glibc
import LinuxShims
import Testing

@testable import bulkhead

@Suite("Whom the end of a worker is put down to")
struct DeathVerdictTests {
  private static let names = ["auth", "shop", "limit"]
  private var deaths = DeathVerdict()

  private func occupant(
    _ plugin: Int, since: UInt64, flags: Int32 = 0, sent: Int32 = 0, exited: Bool = false,
    faultedAt: UInt64 = 0
  )
    -> FaultFrame.Occupant
  {
    FaultFrame.Occupant(
      plugin: plugin, owner: UInt32(plugin + 1) | UInt32(bitPattern: flags), phase: 0, since: since,
      sentSignal: sent,
      hasExited: exited, faultedAt: faultedAt)
  }

  private func judge(
    _ deaths: inout DeathVerdict, _ occupants: [FaultFrame.Occupant], signal: Int32 = 0, code: Int32 = 0,
    isHung: Bool = false,
    at now: UInt64 = 1_000_000_000
  ) -> String {
    let finding = deaths.judge(
      occupants, DeathVerdict.End(signal: signal, exitCode: code, isHung: isHung),
      isFault: guard_is_fault_signal(signal), at: now
    ) { Self.names[$0] }
    return switch finding {
    case .nobody: "nobody"
    case .plugin(let occupant, let reason): "\(Self.names[occupant.plugin]) \(reason.rawValue)"
    }
  }

  private static let crashed = Int32(bitPattern: UInt32(GUARD_CRASHED))
  private static let taken = Int32(bitPattern: UInt32(GUARD_TAKEN))

  @Test("of several faults that were caught the first counts, whatever entered last")
  mutating func first() {
    let all = [
      occupant(0, since: 30, flags: Self.crashed, faultedAt: 90),
      occupant(1, since: 10, flags: Self.crashed, faultedAt: 80),
      occupant(2, since: 99),
    ]
    #expect(judge(&deaths, all, signal: SIGSEGV) == "shop crashed")
  }

  @Test("a crash that came after another plugin hung in the same worker does not come first")
  mutating func hangFirst() {
    let all = [
      occupant(0, since: 10, flags: Self.taken), occupant(1, since: 5, flags: Self.crashed, faultedAt: 80),
    ]
    #expect(judge(&deaths, all, signal: SIGKILL) == "auth hung")
  }

  @Test("who called exit has exited, whoever entered later; who sent the signal likewise")
  mutating func shown() {
    #expect(
      judge(&deaths, [occupant(0, since: 1, exited: true), occupant(1, since: 9)], code: 3) == "auth exited")
    #expect(
      judge(&deaths, [occupant(0, since: 1, sent: SIGKILL), occupant(1, since: 9)], signal: SIGKILL)
        == "auth exited")
    #expect(judge(&deaths, [occupant(0, since: 1, sent: SIGUSR1)], signal: SIGKILL) == "nobody")
  }

  @Test("at a standstill the one that is longest on a stack hangs, and one that was given up before it")
  mutating func hung() {
    let all = [occupant(0, since: 9), occupant(1, since: 2)]
    #expect(judge(&deaths, all, signal: SIGKILL, isHung: true) == "shop hung")
    #expect(
      judge(&deaths, all + [occupant(2, since: 5, flags: Self.taken)], signal: SIGKILL, isHung: true)
        == "limit hung")
  }

  @Test(
    "a signal from nobody knows where blames nobody the first time, and the one that was there alone the second"
  )
  mutating func outside() {
    #expect(judge(&deaths, [occupant(1, since: 1)], signal: SIGKILL) == "nobody")
    #expect(judge(&deaths, [occupant(0, since: 1)], signal: SIGKILL) == "nobody", "another plugin")
    #expect(
      judge(&deaths, [occupant(0, since: 1), occupant(1, since: 2)], signal: SIGKILL) == "nobody",
      "two of them")
    #expect(
      judge(&deaths, [occupant(1, since: 1)], signal: SIGKILL) == "nobody", "it was not alone the first time")
    #expect(judge(&deaths, [occupant(1, since: 1)], signal: SIGKILL) == "shop exited")
    #expect(judge(&deaths, [occupant(1, since: 1)], signal: SIGKILL) == "nobody", "it begins anew")
    let late = 1_000_000_000 + DeathVerdict.memory
    #expect(judge(&deaths, [occupant(1, since: 1)], signal: SIGKILL, at: late) == "nobody", "long ago")
  }

  @Test("an exit status is the plugin's that was there alone, unless it is the host's own")
  mutating func status() {
    #expect(judge(&deaths, [occupant(1, since: 1)], code: 5) == "shop exited")
    #expect(judge(&deaths, [occupant(1, since: 1)], code: DeathVerdict.ownExitCode) == "nobody")
    #expect(judge(&deaths, [occupant(0, since: 1), occupant(1, since: 2)], code: 5) == "nobody")
    #expect(judge(&deaths, [], code: 5) == "nobody")
  }

  @Test("a fault's own signal that nobody caught is the latest's")
  mutating func uncaught() {
    #expect(
      judge(&deaths, [occupant(0, since: 1), occupant(1, since: 2)], signal: SIGSEGV) == "shop crashed")
  }
}
