import Foundation
import Testing

@testable import bulkhead

@Suite("JSON")
struct JSONWriterTests {
  @Test("objects, arrays, every kind of value, and commas where they belong")
  func structure() {
    var json = JSONWriter()
    json.object {
      $0.field("s", "x")
      $0.field("i", 3)
      $0.field("u", UInt64.max)
      $0.field("d", 2.5)
      $0.field("nan", Double.nan)
      $0.field("b", true)
      $0.field("none", nil as Int?)
      $0.null("z")
      $0.field("list", ["a", "b"])
      $0.array("nested") {
        $0.element(1)
        $0.object { _ in }
        $0.array { $0.element("e") }
      }
      $0.object("o") { $0.field("raw", raw: "[1]".utf8) }
    }
    #expect(
      json.text
        == #"{"s":"x","i":3,"u":18446744073709551615,"d":2.5,"nan":null,"b":true,"none":null,"z":null,"#
        + #""list":["a","b"],"nested":[1,{},["e"]],"o":{"raw":[1]}}"#)
  }

  @Test("any string comes back from another parser as it was")
  func strings() throws {
    let seed = UInt64.random(in: 0 ... .max)
    print("seed \(seed)")
    var random = SplitMix64(state: seed)
    for _ in 0..<500 {
      var text = ""
      for _ in 0..<Int.random(in: 0...20, using: &random) {
        let limit: UInt32 = Bool.random(using: &random) ? 0x7F : 0x10FFFF
        if let scalar = UnicodeScalar(UInt32.random(in: 0...limit, using: &random)) {
          text.unicodeScalars.append(scalar)
        }
      }
      var json = JSONWriter()
      json.object { $0.field(text, text) }
      let read = try JSONDecoder().decode([String: String].self, from: Data(json.bytes))
      #expect(read.first.map { Array($0.key.utf8) } == Array(text.utf8), "seed \(seed)")
      #expect(read.first.map { Array($0.value.utf8) } == Array(text.utf8), "seed \(seed)")
    }
  }
}
