import Foundation
import Testing

@testable import JSONBodies

@Suite struct JSONOutlineTests {
  private func outline(_ text: String, maximumDepth: Int = 512) throws -> JSONOutline {
    try JSONOutline([UInt8](text.utf8), maximumDepth: maximumDepth)
  }

  @Test(
    "what is no JSON is refused, though Foundation's decoder takes some of it",
    arguments: [
      "", " ", "{", "}", "[", "[1", #"{"a"}"#, #"{"a":}"#, #"{"a":1,}"#, "[1,]", "[,1]", #"{,"a":1}"#,
      "[1 2]",
      "01", "-", "-01", "1.", ".5", "1e", "1e+", "+1", "0x1", "--1", "[-]", "NaN", "Infinity", "tru", "True",
      "nul", "true false", #"{a:1}"#, "{'a':1}", #""\x""#, #""\u12g4""#, #""\u12""#, #"""#, "\"\u{1}\"",
      "\"\t\"", "{\"a\nb\":1}", "\u{FEFF}{}", "{}\u{0}", "\u{A0}{}", "/**/{}", #"{"a":1}x"#, "[1]]",
      #""\ud800""#, #""\udc00""#, #""\ud800\u0041""#, #""\ud800x""#, #"{"\udfff":1}"#, #""\"#, #""\u""#,
    ])
  func malformed(_ text: String) {
    #expect(throws: JSONOutline.Fault.malformed) { try outline(text) }
  }

  @Test("bytes that are not UTF-8 are refused, wherever they stand")
  func notUTF8() {
    for bytes: [UInt8] in [
      [0x22, 0xFF, 0x22], [0x22, 0xC0, 0xAF, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22],
      [0xFF, 0xFE, 0x7B, 0, 0x7D, 0],
      [0x7B, 0, 0x7D, 0],
    ] {
      #expect(throws: JSONOutline.Fault.malformed) { try JSONOutline(bytes) }
    }
  }

  @Test(
    "every form of every value is accepted",
    arguments: [
      ("{}", JSONOutline.Kind.object), (" [ ] ", .array), ("0", .number), ("-0", .number),
      ("-0.0e-0", .number),
      ("12.5E+30", .number), ("1e999", .number), ("true", .boolean), ("false", .boolean),
      ("\r\n\tnull ", .null),
      (#""""#, .string), (#""\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00""#, .string),
      ("\"\u{7F}\u{2028}😀\"", .string),
    ])
  func forms(_ text: String, _ kind: JSONOutline.Kind) throws {
    #expect(try outline(text).kind == kind)
  }

  @Test("members are found in their order, names resolved, with what their values are")
  func members() throws {
    let text = #" { "a" : [1, [2, 3], {"x":4}] ,"\u0062\n": {"y":{}}, "é":"\"}", "a":null } "#
    let outline = try outline(text)
    #expect(try outline.names() == ["a", "b\n", "é", "a"])
    #expect(outline.members.map(\.kind) == [.array, .object, .string, .null])
    #expect(outline.members.map(\.depth) == [2, 2, 0, 0])
    #expect(outline.members.map(\.count) == [3, 1, 0, 0])
    #expect(
      outline.members.map { outline.compact($0.value).text } == [
        "[1,[2,3],{\"x\":4}]", #"{"y":{}}"#, #""\"}""#, "null",
      ])
  }

  @Test("white space goes from between the tokens, and stays within strings")
  func compact() throws {
    let outline = try outline("{\"a\": {\"b \\\" c\" :\t[ 1 ,\n\" \\\\\" , {} ] } }")
    #expect(outline.compact(outline.members[0].value).text == #"{"b \" c":[1," \\",{}]}"#)
  }

  @Test("nesting is allowed as deep as is said, and no deeper, in arrays and objects alike")
  func depth() throws {
    for (open, inner, close) in [("[", "", "]"), (#"{"a":"#, "1", "}")] {
      func nested(_ depth: Int) -> String {
        String(repeating: open, count: depth) + inner + String(repeating: close, count: depth)
      }
      _ = try outline(nested(512))
      _ = try outline(nested(7), maximumDepth: 7)
      #expect(throws: JSONOutline.Fault.tooDeep) { try outline(nested(8), maximumDepth: 7) }
      #expect(throws: JSONOutline.Fault.tooDeep) { try outline(nested(100_000)) }
    }
  }

  /// Values written at random are accepted as what they are. And a text with any one byte changed is accepted only if
  /// Foundation, which is more lenient, takes it too.
  @Test("nothing is accepted that Foundation refuses, and nothing refused that it writes")
  func mutations() throws {
    let seed = UInt64.random(in: 0 ... .max)
    var random = SplitMix64(state: seed)
    let bytes = [UInt8](#"{}[]",:\0123456789.eE+-truefalsn "#.utf8) + [0, 9, 31, 127, 0x80, 0xC3, 0xA9, 0xFF]
    var accepted = 0
    for _ in 0..<300 {
      let value = Self.value(&random, depth: 0)
      let text = [UInt8](try JSONText.encode(value).utf8)
      #expect(throws: Never.self, "seed \(seed): \(String(decoding: text, as: UTF8.self))") {
        try JSONOutline(text)
      }
      for _ in 0..<20 {
        var mutated = text
        let place = Int.random(in: 0..<mutated.count, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: mutated.remove(at: place)
        case 1: mutated.insert(bytes.randomElement(using: &random) ?? 0, at: place)
        default: mutated[place] = bytes.randomElement(using: &random) ?? 0
        }
        do {
          _ = try JSONOutline(mutated)
        } catch {
          continue
        }
        accepted += 1
        #expect(throws: Never.self, "seed \(seed): \(mutated)") {
          try JSONSerialization.jsonObject(with: Data(mutated), options: .fragmentsAllowed)
        }
      }
    }
    #expect(accepted > 0, "seed \(seed)")
  }

  private static func value(_ random: inout SplitMix64, depth: Int) -> JSONValue {
    switch Int.random(in: 0..<(depth < 4 ? 7 : 5), using: &random) {
    case 0: return .null
    case 1: return .bool(.random(using: &random))
    // Short ones: Foundation refuses what an exponent within makes larger than any Double.
    case 2: return .integer(.random(in: -99...99, using: &random))
    case 3: return .number([0.5, -1.25, 1e10].randomElement(using: &random) ?? 0)
    case 4: return .string(text(&random))
    case 5:
      return .array((0..<Int.random(in: 0..<4, using: &random)).map { _ in value(&random, depth: depth + 1) })
    default:
      return .object(
        Dictionary(
          (0..<Int.random(in: 0..<4, using: &random)).map { _ in
            (text(&random), value(&random, depth: depth + 1))
          },
          uniquingKeysWith: { $1 }))
    }
  }

  private static func text(_ random: inout SplitMix64) -> String {
    String(
      (0..<Int.random(in: 0..<6, using: &random)).map { _ in
        "ab\"\\/\n\u{1}\u{7F}é😀".randomElement(using: &random) ?? "x"
      })
  }
}
