import Testing

@testable import bulkhead

@Suite("Reports of libraries, between processes")
struct LibraryReportTests {
  private let report = LibraryReport(
    plugin: .init(
      name: "auth", version: "1.2.0", summary: "tabs\tand\\lines\r\n", abi: "1.0", kind: "middleware+router",
      capabilities: ["request", "routes"]),
    settings: [
      SettingSchema(
        name: "secret", type: .string, isRequired: true, isSecret: true, isRepeatable: true, help: "the key"),
      SettingSchema(name: "ttl", type: .duration, defaultText: ""),
      SettingSchema(name: "mode", type: .list, defaultText: "=-\n", choices: ["a", "b"]),
    ],
    isLoaded: true,
    routes: [.init(method: "GET", pattern: "{id}/x", access: "role:editor", execution: "pool")],
    failure: .init(reason: "start-failed", message: "no\ndatabase"), isComplete: true)

  private var text: String { report.loadedLines + report.finalLines }

  @Test("what is written is what is read")
  func roundTrip() throws {
    #expect(try LibraryReport(reading: Array(text.utf8)) == report)
  }

  @Test("a report that is cut anywhere is read as far as it goes, and never complete")
  func cut() throws {
    let bytes = Array(text.utf8)
    for count in bytes.indices {
      let read = try LibraryReport(reading: Array(bytes[..<count]))
      #expect(!read.isComplete)
      #expect(read.isLoaded == (count >= report.loadedLines.utf8.count))
    }
  }

  @Test(
    "what is no report is refused",
    arguments: [
      "nonsense\n", "plugin\tx\n", "setting\ta\tcolour\t\t-\t\t\n", "setting\ta\tstring\t\tx\t\t\n",
      "end\nend\n",
    ])
  func malformed(text: String) {
    #expect(throws: LibraryReport.Malformed.self) { try LibraryReport(reading: Array(text.utf8)) }
  }

  @Test("a process that ends before its report is blamed on the library")
  func judgement() throws {
    func judge(_ end: ChildOutcome.End, _ report: String) -> Result<LibraryReport, LibraryReport.Failure> {
      LibraryInspection.judge(
        ChildOutcome(end: end, report: Array(report.utf8), chatter: Array("a\noops\n".utf8)))
    }
    #expect(
      judge(.signalled(6), "")
        == .failure(
          .init(
            reason: "crashed",
            message: "loading it ended the process by signal 6 (Aborted); it last said: oops")))
    #expect(throws: LibraryReport.Failure.self) { try judge(.timedOut, "").get() }
    #expect(throws: LibraryReport.Failure.self) {
      try judge(.exited(0), "failed\tload-failed\tx\nend\n").get()
    }
    let started = try judge(.timedOut, report.loadedLines).get()
    #expect(started.settings == report.settings)
    #expect(started.failure?.reason == "hung")
    #expect(try judge(.exited(0), text).get() == report)
  }
}
