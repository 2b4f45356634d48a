import Foundation
import Testing

@testable import DomainRoutes

@Suite struct LocalRendererTests {
  private let input = LocalRenderer.Input(
    modelID: "m", style: .flow, prompt: "sea", negativePrompt: "", width: 80, height: 64, seed: 1)

  @Test("checksums agree with the published check values")
  func checksums() {
    let digits = [UInt8]("123456789".utf8)
    #expect(Checksum.crc32(digits) == 0xcbf4_3926)
    #expect(Checksum.adler32(digits) == 0x091e_01de)
    #expect(Checksum.adler32([UInt8](repeating: 0xff, count: 100_000)) == 0x149a_302c)
  }

  @Test("a file is well formed: signature, chunks with their checksums, and as many rows as it says")
  func structure() throws {
    let file = LocalRenderer.render(input) {}
    #expect(Array(file.prefix(8)) == [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
    var chunks: [(type: String, data: [UInt8])] = []
    var index = 8
    func number(_ at: Int) -> UInt32 { file[at..<at + 4].reduce(0) { $0 << 8 | UInt32($1) } }
    while index < file.count {
      let count = Int(number(index))
      let typed = Array(file[index + 4..<index + 8 + count])
      #expect(number(index + 8 + count) == Checksum.crc32(typed))
      chunks.append((String(decoding: typed.prefix(4), as: UTF8.self), Array(typed.dropFirst(4))))
      index += 12 + count
    }
    #expect(chunks.map(\.type) == ["IHDR", "PLTE", "iTXt", "iTXt", "iTXt", "IDAT", "IEND"])
    #expect(chunks[0].data == [0, 0, 0, 80, 0, 0, 0, 64, 8, 3, 0, 0, 0])
    #expect(chunks[1].data.count == 768)
    let stream = chunks[5].data
    #expect((Int(stream[0]) << 8 | Int(stream[1])) % 31 == 0)
    #expect(stream.count == 2 + 5 + 81 * 64 + 4)
  }

  @Test("stored blocks hold at most 65535 bytes each, and the last one says so")
  func blocks() {
    let image = PNG(width: 300, height: 300, palette: [0, 0xffffff])
    let file = image.encode([UInt8](repeating: 1, count: 90_000))
    #expect(file.count > 90_300 && file.count < 90_600)
  }

  @Test("the image depends on prompt, negative prompt, seed, model and style, and on nothing else")
  func dependence() {
    let image = LocalRenderer.render(input) {}
    #expect(LocalRenderer.render(input) {} == image)
    var others = Array(repeating: input, count: 5)
    others[0].prompt = "sky"
    others[1].negativePrompt = "blue"
    others[2].seed = 2
    others[3].modelID = "n"
    others[4].style = .cells
    for other in others { #expect(LocalRenderer.render(other) {} != image) }
  }

  @Test("a word for a hue in the prompt is in the colours")
  func colours() {
    func middle(_ word: String) -> (red: UInt32, green: UInt32, blue: UInt32) {
      var random = SplitMix64(seed: 1)
      let colour = Palette(words: [word], avoided: [], random: &random).colours[64]
      return (colour >> 16, colour >> 8 & 0xff, colour & 0xff)
    }
    #expect(middle("red").red > middle("red").blue)
    #expect(middle("blue").blue > middle("blue").red)
    #expect(middle("green").green > middle("green").red)
  }

  @Test("an image uses a good part of its colours", arguments: LocalRenderer.Style.allCases)
  func range(style: LocalRenderer.Style) {
    var input = input
    input.style = style
    let file = LocalRenderer.render(input) {}
    #expect(Set(file.suffix(64 * 81)).count > 60)
  }
}
