/// Numbers that look random and depend on a seed alone: SplitMix64 (Steele, Lea and Flood, 2014). Not for secrets.
struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    return Self.mix(state)
  }

  /// 0 up to, but not including, 1.
  mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

  static func mix(_ value: UInt64) -> UInt64 {
    var value = value
    value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
    value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
    return value ^ (value >> 31)
  }
}

/// Fields over the plane that depend on a seed alone. Only additions, products and square roots, which IEEE 754 defines
/// to the bit: the same image on every machine.
struct Noise {
  let seed: UInt64

  /// Value noise: 0 to 1, smooth, with features of size 1.
  func value(_ x: Double, _ y: Double) -> Double {
    let column = x.rounded(.down)
    let row = y.rounded(.down)
    let (i, j) = (Int64(column), Int64(row))
    let (u, v) = (Self.smooth(x - column), Self.smooth(y - row))
    let top = lattice(i, j) + (lattice(i + 1, j) - lattice(i, j)) * u
    let bottom = lattice(i, j + 1) + (lattice(i + 1, j + 1) - lattice(i, j + 1)) * u
    return top + (bottom - top) * v
  }

  /// Value noise of several octaves, each half as large and half as strong: 0 to 1.
  func fractal(_ x: Double, _ y: Double, octaves: Int) -> Double {
    var (sum, strength, total) = (0.0, 0.5, 0.0)
    var (x, y) = (x, y)
    for _ in 0..<octaves {
      sum += value(x, y) * strength
      total += strength
      strength *= 0.5
      // Not quite 2, and shifted, so that the lattices do not line up.
      x = x * 2.03 + 17.1
      y = y * 2.03 + 9.7
    }
    return sum / total
  }

  /// Cellular noise (Worley, 1996): the distances to the nearest and the second nearest of scattered points.
  func cells(_ x: Double, _ y: Double) -> (nearest: Double, second: Double) {
    let (column, row) = (Int64(x.rounded(.down)), Int64(y.rounded(.down)))
    var (nearest, second) = (9.0, 9.0)
    for j in row - 1...row + 1 {
      for i in column - 1...column + 1 {
        let hash = self.hash(i, j)
        let dx = Double(i) + Double(hash & 0xffff) * 0x1p-16 - x
        let dy = Double(j) + Double(hash >> 16 & 0xffff) * 0x1p-16 - y
        let distance = dx * dx + dy * dy
        if distance < nearest {
          second = nearest
          nearest = distance
        } else if distance < second {
          second = distance
        }
      }
    }
    return (nearest.squareRoot(), second.squareRoot())
  }

  private func hash(_ i: Int64, _ j: Int64) -> UInt64 {
    SplitMix64.mix(
      seed ^ UInt64(bitPattern: i) &* 0x9e37_79b9_7f4a_7c15 ^ UInt64(bitPattern: j) &* 0xc2b2_ae3d_27d4_eb4f)
  }

  private func lattice(_ i: Int64, _ j: Int64) -> Double { Double(hash(i, j) >> 11) * 0x1p-53 }

  private static func smooth(_ t: Double) -> Double { t * t * (3 - 2 * t) }
}
