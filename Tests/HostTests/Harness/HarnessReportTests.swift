import Testing

@testable import bulkhead

@Suite("What the harness prints")
struct HarnessReportTests {
  private let summary = HarnessSummary(
    library: "/x/liba.so", subject: "a 1.0.0",
    results: [
      HarnessResult(name: "good", place: "a.case:1", took: .milliseconds(1500)),
      HarnessResult(
        name: "bad <&\"'>", place: "a.case:2", took: .zero,
        failure: HarnessResult.Failure(message: "is\u{1}bad", place: "a.case:4", details: ["one", "two"])),
      HarnessResult(name: "not", place: "a.case:9", took: .zero, skipped: "no routes"),
    ])

  @Test("counts, the last line and the status")
  func counts() {
    #expect(summary.lastLine == "1 passed, 1 failed")
    #expect(summary.status == .no)
  }

  @Test("JUnit XML escapes what XML has no room for")
  func junit() {
    let xml = JUnitReport.xml(summary, suite: "s")
    #expect(xml.contains("tests=\"3\" failures=\"1\" skipped=\"1\""))
    #expect(xml.contains("name=\"bad &lt;&amp;&quot;'&gt;\""))
    #expect(xml.contains("a.case:4: is\u{fffd}bad"))
    #expect(xml.contains("time=\"1.500\""))
  }

  @Test("the command that does it again can be pasted into a shell")
  func words() {
    #expect(ShellWords.line(["test", "a b", "it's", ""]) == #"test 'a b' 'it'\''s' ''"#)
  }

  @Test(
    "delta debugging finds what is needed, alone or together",
    arguments: [[3], [0, 7], [1, 4, 5], [], Array(0..<8)])
  func minimal(guilty: [Int]) {
    var runs = 0
    let found = DeltaDebugging.minimal(of: Array(0..<8)) { subset in
      runs += 1
      return guilty.allSatisfy(subset.contains)
    }
    #expect(found == guilty)
    #expect(runs <= 64)
  }

  @Test("a value in quotes reads as it was")
  func quoted() throws {
    let value = "a \"b\" \\ $HOME # c\n\t"
    let text = ConfigurationText(
      reading: Array("[host]\nkey = \(ConfigurationText.quoted(value))\n".utf8), path: "x",
      substitution: Substitution(environment: [:], directory: ""))
    #expect(text.errors.isEmpty)
    #expect(text.sections.first?.entries.first?.value == value)
  }
}
