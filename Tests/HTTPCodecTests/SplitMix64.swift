/// A generator that gives the same numbers for the same seed on every machine.
struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) {
    state = seed
  }

  /// One with a fresh seed, printed so that a failure can be had again.
  static func printingSeed(_ function: String = #function) -> SplitMix64 {
    let seed = UInt64.random(in: 0...UInt64.max)
    print("\(function): seed \(seed)")
    return SplitMix64(seed: seed)
  }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
