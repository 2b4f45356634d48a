import Foundation
import PluginTesting
import Testing

/// `docs/security.md` promises tests: they have to exist.
@Suite struct SecurityDocumentTests {
  private struct Reference: Hashable {
    let file: String
    let name: String
  }

  private func document() throws -> String {
    let text = try String(contentsOfFile: "\(ReleaseBuild.packageRoot)/docs/security.md", encoding: .utf8)
    // Running text may break within a name.
    return text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
      line.hasPrefix("|") || line.isEmpty ? line + "\n" : line + " "
    }.joined()
  }

  private func references(in text: some StringProtocol) -> [Reference] {
    String(text).matches(of: /`(\w+\/[\w+]+\.swift)`\s+"([^"]+)"/).map {
      Reference(file: String($0.1), name: String($0.2))
    }
  }

  @Test("every test that docs/security.md names exists")
  func existence() throws {
    let text = try document()
    let references = references(in: text)
    #expect(references.count > 60)
    #expect(references.count == text.matches(of: /\.swift`/).count, "a file is named without its test")
    for reference in Set(references) {
      let path = "\(ReleaseBuild.packageRoot)/Tests/\(reference.file)"
      guard let data = FileManager.default.contents(atPath: path) else {
        Issue.record("there is no \(reference.file)")
        continue
      }
      let source = String(decoding: data, as: UTF8.self)
      let declarations = ["@Test", "Attack", "text", "expiry"].flatMap { call in
        ["\(call)(\"\(reference.name)\"", "\(call)(\n\"\(reference.name)\""]
      }
      let compact = source.replacing(/\n +/, with: "\n")
      #expect(
        declarations.contains { compact.contains($0) }, "\(reference.file) has no \"\(reference.name)\"")
    }
  }

  @Test(
    "docs/security.md has a line for every practice of RFC 8725 and every risk of OWASP's ten, with tests")
  func completeness() throws {
    let lines = try document().split(separator: "\n")
    for item in (1...12).map({ "| 3.\($0) " }) + (1...10).map({ "| API\($0) " }) {
      let line = lines.first { $0.hasPrefix(item) }
      #expect(line != nil, "no line begins with \(item)")
      #expect(!references(in: line ?? "").isEmpty, "no test for \(item)")
    }
  }
}
