import Glibc

/// One run of the fuzzer: its bounds, its loop, and its report.
struct FuzzRun {
  private var inputs: UInt64 = 10_000_000
  private var seconds: UInt64 = 120
  private var seed = UInt64.random(in: 0...UInt64.max)

  /// - Returns: The status to exit with: 0, 1 if there was a finding, or 64 for arguments that mean nothing.
  static func main(_ arguments: [String]) -> Int32 {
    guard let run = FuzzRun(arguments) else {
      let usage: StaticString = "usage: codec-fuzz [--inputs N] [--seconds N] [--seed N]\n"
      write(STDERR_FILENO, usage.utf8Start, usage.utf8CodeUnitCount)
      return 64
    }
    return run.run()
  }

  private init?(_ arguments: [String]) {
    var rest = arguments[...]
    while let option = rest.popFirst() {
      guard let text = rest.popFirst(), let value = UInt64(text) else { return nil }
      switch option {
      case "--inputs": inputs = value
      case "--seconds": seconds = value
      case "--seed": seed = value
      default: return nil
      }
    }
  }

  private func run() -> Int32 {
    print("seed \(seed)")
    fflush(nil)
    var mutator = Mutator(seed: seed)
    var checks = Checks(seed: seed)
    let clock = ContinuousClock()
    let start = clock.now
    let deadline = start + .seconds(Int64(clamping: seconds))
    var done: UInt64 = 0
    while done < inputs, done % 4096 != 0 || clock.now < deadline {
      let input = mutator.next()
      if let finding = checks.run(input) {
        report(finding, input, done)
        return 1
      }
      done += 1
    }
    let elapsed = start.duration(to: clock.now) / .seconds(1)
    print("\(done) inputs in \(tenths(elapsed)) s, \(Int(Double(done) / max(elapsed, 0.001))) a second")
    print("\(checks.heads) heads and \(checks.bodies) chunked bodies accepted; no finding")
    return 0
  }

  private func report(_ finding: String, _ input: UnsafeRawBufferPointer, _ number: UInt64) {
    print("finding in input \(number) of seed \(seed): \(finding)")
    for start in stride(from: 0, to: input.count, by: 16) {
      let row = input[start..<min(start + 16, input.count)]
      let digits = row.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
      let text = String(row.map { (0x20..<0x7F).contains($0) ? Character(UnicodeScalar($0)) : "." })
      let padding = String(repeating: " ", count: 49 - digits.utf8.count)
      print("\(digits)\(padding)\(text)")
    }
  }

  private func tenths(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }
}
