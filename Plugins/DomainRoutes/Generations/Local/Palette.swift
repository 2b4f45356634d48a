/// 256 colours from dark to light through two or three hues, chosen by the prompt.
struct Palette {
  /// 0xRRGGBB.
  let colours: [UInt32]

  /// The words that name a hue, in turns of the colour wheel.
  private static let hues: [String: Double] = [
    "red": 0, "rose": 0.95, "pink": 0.92, "fire": 0.04, "sunset": 0.05, "orange": 0.08, "autumn": 0.07,
    "gold": 0.12, "desert": 0.1, "yellow": 0.15, "sun": 0.13, "green": 0.33, "forest": 0.36, "spring": 0.27,
    "jungle": 0.31, "teal": 0.48, "sea": 0.52, "ocean": 0.55, "ice": 0.53, "winter": 0.57, "sky": 0.57,
    "blue": 0.62, "night": 0.66, "violet": 0.75, "purple": 0.77, "lavender": 0.72, "magenta": 0.85,
  ]

  /// - Parameters:
  ///   - words: Of the prompt, in lower case: the hues that they name are used, in their order.
  ///   - avoided: Of the negative prompt: the hues that they name are not.
  ///   - random: Chooses where the words do not.
  init(words: [String], avoided: [String], random: inout SplitMix64) {
    let unwanted = avoided.compactMap { Self.hues[$0] }
    var hues: [Double] = []
    for hue in words.compactMap({ Self.hues[$0] }) where !unwanted.contains(hue) && !hues.contains(hue) {
      hues.append(hue)
    }
    for _ in 0..<64 where hues.count < 3 {
      // A neighbour of the last hue most often, or its opposite: what looks well together.
      let step = random.unit() < 0.65 ? 0.06 + random.unit() * 0.08 : 0.45 + random.unit() * 0.1
      let candidate = hues.last.map { $0 + (random.unit() < 0.5 ? step : 1 - step) } ?? random.unit()
      let hue = candidate - candidate.rounded(.down)
      if unwanted.allSatisfy({ Self.distance($0, hue) > 0.07 }) { hues.append(hue) }
    }
    while hues.count < 3 { hues.append(hues.last ?? 0) }
    let stops = [
      Self.colour(hue: hues[0], saturation: 0.75, value: 0.1),
      Self.colour(hue: hues[0], saturation: 0.8, value: 0.5),
      Self.colour(hue: hues[1], saturation: 0.7, value: 0.8),
      Self.colour(hue: hues[2], saturation: 0.45, value: 0.95),
      Self.colour(hue: hues[2], saturation: 0.12, value: 1),
    ]
    colours = (0..<256).map { index in
      let position = Double(index) / 255 * Double(stops.count - 1)
      let stop = min(Int(position), stops.count - 2)
      return Self.mix(stops[stop], stops[stop + 1], position - Double(stop))
    }
  }

  private static func distance(_ a: Double, _ b: Double) -> Double {
    let difference = abs(a - b)
    return min(difference, 1 - difference)
  }

  private static func colour(hue: Double, saturation: Double, value: Double) -> [Double] {
    [5.0, 3.0, 1.0].map { offset in
      let turn = (offset + hue * 6).truncatingRemainder(dividingBy: 6)
      return value - value * saturation * max(0, min(turn, 4 - turn, 1))
    }
  }

  private static func mix(_ a: [Double], _ b: [Double], _ share: Double) -> UInt32 {
    zip(a, b).reduce(0) { colour, pair in
      colour << 8 | UInt32((pair.0 + (pair.1 - pair.0) * share) * 255 + 0.5)
    }
  }
}
