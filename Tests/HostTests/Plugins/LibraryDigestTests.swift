import Foundation
import Testing

@testable import bulkhead

@Suite("Digests of libraries")
struct LibraryDigestTests {
  private let directory: String

  init() throws {
    directory = "/tmp/bulkhead-digests-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
  }

  private func write(_ name: String, _ text: String) throws -> String {
    let path = "\(directory)/\(name)"
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    return path
  }

  @Test("every file that can be read has its digest, whatever its name")
  func digests() throws {
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let empty = try write("empty", "")
    let abc = try write("a b\n*c\\", "abc")
    let others = try (0..<9).map { try write("other-\($0)", String(repeating: "x", count: $0 * 1000)) }
    let found = Dictionary(
      uniqueKeysWithValues: try LibraryDigest.compute([empty, abc, "\(directory)/missing"] + others).map {
        ($0.path, $0.sha256)
      })
    #expect(found.count == 11)
    #expect(found[empty] == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    #expect(found[abc] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    #expect(Set(others.compactMap { found[$0] }).count == 9)
  }

  @Test("nothing to do is done at once")
  func nothing() throws {
    #expect(try LibraryDigest.compute([]).isEmpty)
    #expect(try LibraryDigest.compute(["/nowhere/x"]).isEmpty)
  }

  @Test("the work is shared by size, and no share is empty")
  func shares() throws {
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let sizes = [5000, 4000, 3000, 3000, 10, 0]
    let files = try sizes.enumerated().map {
      try write("f\($0.offset)", String(repeating: "x", count: $0.element))
    }
    let shares = LibraryDigest.shares(of: files, among: 2)
    #expect(shares.count == 2)
    #expect(Set(shares.joined()) == Set(files) && shares.joined().count == files.count)
    let loads = shares.map { $0.map { sizes[files.firstIndex(of: $0)!] }.reduce(0, +) }
    #expect(loads.max()! - loads.min()! <= 1000)
    #expect(LibraryDigest.shares(of: [], among: 4).isEmpty)
    #expect(LibraryDigest.shares(of: [files[0]], among: 4) == [[files[0]]])
  }
}
