/// Draws an image from a prompt on this machine, by procedure: no neural network, and no claim to one.
///
/// The prompt chooses the colours, by the words for hues in it, and with the seed everything else. The same input gives
/// the same bytes, on every machine.
struct LocalRenderer {
  /// How the image is composed.
  enum Style: String, Sendable, CaseIterable {
    /// Noise that is warped by noise, with contour lines: marble, smoke, maps.
    case flow
    /// Cells with rims and a grain: stones, leaves, glass.
    case cells
  }

  struct Input: Sendable, Equatable {
    var modelID: String
    var style: Style
    var prompt: String
    var negativePrompt: String
    var width: Int
    var height: Int
    var seed: Int64
  }

  /// - Parameter checkpoint: Called every few rows; what it throws ends the work.
  /// - Returns: A PNG file of about `width * height` bytes.
  static func render(_ input: Input, checkpoint: () throws -> Void) rethrows -> [UInt8] {
    var random = SplitMix64(seed: seed(of: input))
    let palette = Palette(
      words: words(of: input.prompt), avoided: words(of: input.negativePrompt), random: &random)
    let field = Field(style: input.style, random: &random)
    // The shorter side spans as much of the field, whatever the size: a larger image shows the same, finer.
    let scale = field.span / Double(min(input.width, input.height))
    var pixels: [UInt8] = []
    pixels.reserveCapacity(input.width * input.height)
    for row in 0..<input.height {
      if row % 4 == 0 { try checkpoint() }
      for column in 0..<input.width {
        let level = field.level(Double(column) * scale, Double(row) * scale)
        pixels.append(UInt8(max(0, min(255, level * 255))))
      }
    }
    let image = PNG(
      width: input.width, height: input.height, palette: palette.colours,
      texts: [
        ("Software", "Bulkhead DomainRoutes, local renderer, model \(input.modelID)"),
        ("Description", input.prompt), ("Comment", "Drawn by procedure, seed \(input.seed)"),
      ])
    return image.encode(pixels)
  }

  /// The letters and digits of each word, in lower case.
  private static func words(of text: String) -> [String] {
    text.lowercased().split { !$0.isLetter && !$0.isNumber }.map(String.init)
  }

  /// FNV-1a over everything that the image depends on but its size.
  private static func seed(of input: Input) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for text in [input.modelID, input.style.rawValue, input.prompt, input.negativePrompt, "\(input.seed)"] {
      for byte in Array(text.utf8) + [0] { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    }
    return hash
  }
}

/// One composition: a level between 0 and 1 for every point.
private struct Field {
  let style: LocalRenderer.Style
  let span: Double
  private let noise: Noise
  private let warp: Double
  private let bands: Double
  private let origin: (x: Double, y: Double)

  init(style: LocalRenderer.Style, random: inout SplitMix64) {
    self.style = style
    noise = Noise(seed: random.next())
    origin = (random.unit() * 1000, random.unit() * 1000)
    warp = 1.5 + random.unit() * 2.5
    bands = Double(3 + random.next() % 6)
    span = style == .flow ? 2.5 + random.unit() * 2 : 4 + random.unit() * 5
  }

  func level(_ x: Double, _ y: Double) -> Double {
    switch style {
    case .flow: flow(x + origin.x, y + origin.y)
    case .cells: cells(x + origin.x, y + origin.y)
    }
  }

  /// Domain warping, after Inigo Quilez: https://iquilezles.org/articles/warp/
  private func flow(_ x: Double, _ y: Double) -> Double {
    let across = noise.fractal(x, y, octaves: 3)
    let down = noise.fractal(x + 5.2, y + 1.3, octaves: 3)
    let height = noise.fractal(x + warp * across, y + warp * down, octaves: 4)
    let level = spread(height)
    let band = level * bands
    let toLine = abs(band - (band + 0.5).rounded(.down))
    return toLine < 0.05 ? level * (0.55 + toLine * 9) : level
  }

  private func cells(_ x: Double, _ y: Double) -> Double {
    let bend = noise.fractal(x * 0.6, y * 0.6, octaves: 3)
    let (nearest, second) = noise.cells(x + bend * warp * 0.4, y - bend * warp * 0.4)
    let rim = min(1, (second - nearest) * 4)
    let grain = noise.fractal(x * 3, y * 3, octaves: 3)
    return (0.25 + 0.75 * rim) * (0.85 - nearest * 0.6 + (grain - 0.5) * 0.35 + (bend - 0.5) * 0.8)
  }

  /// Fractal noise crowds around a half: this uses the whole range.
  private func spread(_ value: Double) -> Double { max(0, min(1, (value - 0.5) * 2.1 + 0.5)) }
}
