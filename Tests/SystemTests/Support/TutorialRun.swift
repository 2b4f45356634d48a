import Foundation
import PluginTesting

/// Does what a tutorial says, and finds where what happens is not what it says.
enum TutorialRun {
  /// What differs, in the words of the document.
  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  /// How long one step may take: a newcomer's first build on a busy machine is the longest.
  static let limit = Duration.seconds(600)
  /// How long a step marked `again` is repeated.
  static let patience = Duration.seconds(30)

  /// - Parameters:
  ///   - name: the document's, for messages.
  ///   - preparation: what the reader has done before, in the same shell.
  /// - Returns: how many commands were run.
  /// - Throws: ``Failure`` at the first step that does not go as written.
  @discardableResult
  static func follow(_ text: String, named name: String, preparation: String = "") throws -> Int {
    let ports = try TutorialPorts(of: text + preparation)
    let document = try TutorialDocument(ports.replaced(in: text))
    guard document.commandCount > 0 else { throw Failure(description: "\(name) has no command that is run") }
    let session = try TutorialSession(ports: ports)
    if !preparation.isEmpty {
      let result = try session.run(ports.replaced(in: preparation), within: limit)
      guard result.status == 0 else {
        throw Failure(description: "\(name): before its start: \(result.output)")
      }
    }
    for step in document.steps {
      do {
        try take(step, in: session, name: name)
      } catch {
        // What the servers that the reader has started say of it.
        let logs = try session.run("tail -n 20 *.log", within: .seconds(10)).output
        throw Failure(description: "\(name), line \(step.line): \(error)\n\(logs)")
      }
    }
    return document.commandCount
  }

  private static func take(_ step: TutorialDocument.Step, in session: TutorialSession, name: String) throws {
    switch step.action {
    case .skip(let text, let reason):
      print("\(name), line \(step.line), is skipped (\(reason)): \(text)")
    case .write(let path, let text):
      try session.write(path, text)
    case .compare(let path, let text):
      let result = try session.run("cat '\(path)'", within: .seconds(10))
      try judge("the file \(path)", result, expected: text, exits: 0)
    case .run(let command, let prints):
      let deadline = Deadline(after: patience)
      while true {
        let result = try session.run(command, within: limit)
        do {
          try judge("\"\(command)\"", result, expected: prints, exits: step.exits)
          return
        } catch {
          guard step.again, !deadline.hasPassed else { throw error }
        }
        // As quick as a reader with the arrow key: a probe is let in once a second.
        usleep(200_000)
      }
    }
  }

  private static func judge(
    _ what: String, _ result: (status: Int32, output: String), expected: String?, exits: Int32
  ) throws {
    guard result.status == exits else {
      throw Failure(description: "\(what) ended with \(result.status), and not \(exits):\n\(result.output)")
    }
    guard let expected, !TutorialOutput(expected).matches(result.output) else { return }
    throw Failure(description: "\(what)\n- where the document has\n\(expected)\n- gives\n\(result.output)")
  }
}
