import Foundation
import Testing

@testable import bulkhead

@Suite("What an ELF library needs")
struct LibraryNeedsTests {
  /// An image with these needs, made by the host's own writer.
  private func image(_ names: [String], path: String, isInherited: Bool = false) -> [UInt8] {
    var needs = LibraryNeeds()
    needs.names = names.map { Array($0.utf8) }
    needs.machine = 62
    return NeedsImage.bytes(
      needing: needs,
      searchPath: LibraryNeeds.SearchPath(text: Array(path.utf8), isInherited: isInherited))
  }

  private func read(_ bytes: [UInt8]) -> Result<LibraryNeeds, LibraryNeeds.Problem> {
    bytes.withUnsafeBytes { view in
      do throws(LibraryNeeds.Problem) { return .success(try LibraryNeeds(view)) } catch {
        return .failure(error)
      }
    }
  }

  @Test("what is written is read again", arguments: [false, true])
  func roundTrip(isInherited: Bool) throws {
    let needs = try read(image(["liba.so", "libb.so.1"], path: "/x:$ORIGIN", isInherited: isInherited)).get()
    #expect(needs.names == [Array("liba.so".utf8), Array("libb.so.1".utf8)])
    #expect(needs.searchPath?.text == Array("/x:$ORIGIN".utf8))
    #expect(needs.searchPath?.isInherited == isInherited)
    #expect(needs.machine == 62)
  }

  @Test("this process's own executable is read")
  func ownExecutable() throws {
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "/proc/self/exe")))
    let needs = try read(bytes).get()
    #expect(needs.names.contains(Array("libc.so.6".utf8)), "\(needs)")
  }

  @Test(
    "$ORIGIN is written out where it stands as a word, and nothing else is",
    arguments: [
      ("$ORIGIN", "/o"), ("${ORIGIN}/../lib", "/o/../lib"), ("/a:$ORIGIN/b:${ORIGIN}", "/a:/o/b:/o"),
      ("$ORIGIN/$LIB/${PLATFORM}", "/o/$LIB/${PLATFORM}"), ("$ORIGIN-x", "/o-x"), ("x$ORIGIN", "x/o"),
    ])
  func origin(path: String, written: String) throws {
    let needs = try read(image(["a"], path: path)).get()
    #expect(needs.searchPath(from: Array("/o".utf8))?.text == Array(written.utf8))
  }

  @Test(
    "a path without $ORIGIN stays as it is",
    arguments: ["", "/a:/b", "$ORIGINAL", "$ORIGIN_", "${ORIGIN", "${ORIGINx}", "$", "${", "$LIB", "ORIGIN"])
  func noOrigin(path: String) throws {
    #expect(try read(image(["a"], path: path)).get().searchPath(from: Array("/o".utf8)) == nil)
  }

  @Test("a library that is named from where this one lies is found out")
  func nameFromOrigin() throws {
    #expect(try read(image(["a", "/b/c"], path: "$ORIGIN")).get().nameFromOrigin == nil)
    #expect(
      try read(image(["a", "$ORIGIN/c"], path: "")).get().nameFromOrigin == Array("$ORIGIN/c".utf8))
  }

  @Test("what is no 64-bit little-endian ELF file is left to the loader")
  func otherFormat() {
    var narrow = image(["a"], path: "")
    narrow[4] = 1
    var bigEndian = image(["a"], path: "")
    bigEndian[5] = 2
    for bytes in [[], Array("#!/bin/sh\n".utf8), Array("\u{7f}ELF".utf8), narrow, bigEndian] {
      #expect(read(bytes) == .failure(.otherFormat))
    }
  }

  @Test("a file that is cut short anywhere is told from a whole one")
  func cutShort() {
    let whole = image(["liba.so", "libb.so"], path: "$ORIGIN")
    for count in 6..<whole.count {
      guard case .failure(let problem) = read(Array(whole[..<count])) else {
        Issue.record("\(count) of \(whole.count) bytes are read as a library")
        continue
      }
      guard case .cutShort(let size, let wanted) = problem else {
        Issue.record("\(count) of \(whole.count) bytes: \(problem)")
        continue
      }
      #expect(size == count && wanted > UInt64(count))
    }
  }

  @Test("an address, a size or a count that leads outside is malformed")
  func outside() {
    // The string table's address and size, and the first needed name's offset, by their tags.
    let spoilt: [(tag: UInt64, value: UInt64)] = [(5, .max), (5, 1 << 40), (10, 0), (1, 1 << 30), (1, .max)]
    for (tag, value) in spoilt {
      var bytes = image(["liba.so"], path: "$ORIGIN")
      for offset in stride(from: 256, to: bytes.count - 16, by: 16)
      where bytes[offset..<(offset + 8)].elementsEqual(withUnsafeBytes(of: tag.littleEndian, Array.init)) {
        let written = withUnsafeBytes(of: value.littleEndian, Array.init)
        bytes.replaceSubrange((offset + 8)..<(offset + 16), with: written)
        break
      }
      guard case .failure(.malformed) = read(bytes) else {
        Issue.record("tag \(tag) of \(value) is read")
        continue
      }
    }
  }

  @Test("whatever is cut off or turned over, reading ends, and touches nothing outside")
  func hostile() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    print("hostile libraries: seed \(seed)")
    var random = Seeded(state: seed)
    let own = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "/proc/self/exe")).prefix(1 << 16))
    for whole in [image(["liba.so", "libb.so"], path: "/x:$ORIGIN/y"), own] {
      for _ in 0..<4000 {
        var bytes = whole
        if Bool.random(using: &random) { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random)) }
        for _ in 0..<Int.random(in: 0...8, using: &random) where !bytes.isEmpty {
          // Mostly where the numbers are.
          let limit = Bool.random(using: &random) ? min(bytes.count, 512) : bytes.count
          bytes[Int.random(in: 0..<limit, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
        if case .success(let needs) = read(bytes) {
          _ = needs.searchPath(from: [0x2f])
          #expect(needs.names.allSatisfy { $0.count < LibraryNeeds.maximumText })
        }
      }
    }
  }

  private struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var mixed = state
      mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
      mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
      return mixed ^ (mixed >> 31)
    }
  }
}
