import Foundation

/// A tutorial as a list of what it has its reader do.
///
/// The Markdown stays what a reader wants; the rules are these.
///
/// - A fenced block `sh` is run. The block `console` or `text` behind it is what it prints, `…` standing for anything
///   within a line and, on a line of its own, for any lines.
/// - A block that begins with `$ ` is a transcript: commands after `$ `, and what each prints.
/// - Behind a line "`PATH`:" a block is what the reader writes into that file; behind "`PATH`, as it is:" it must be what
///   the file holds already.
/// - `<!-- test: skip: REASON -->` before a block leaves it out, `<!-- test: exits N -->` expects another status
///   than 0, and `<!-- test: again -->` runs it again until it prints what is expected, as a reader would.
/// - Blocks of any other kind are for reading.
struct TutorialDocument {
  struct Step: Equatable {
    enum Action: Equatable {
      case run(String, prints: String?)
      case write(path: String, text: String)
      case compare(path: String, text: String)
      case skip(String, reason: String)
    }
    /// Of the block's first line of text, from 1.
    var line: Int
    var action: Action
    var exits: Int32 = 0
    var again = false
  }

  struct Malformed: Error, CustomStringConvertible {
    var line: Int
    var reason: String
    var description: String { "line \(line): \(reason)" }
  }

  private(set) var steps: [Step] = []

  /// - Throws: ``Malformed`` for an output without a command, a block without an end, or an unknown mark.
  init(_ text: String) throws {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    var marks = Marks()
    var index = 0
    while index < lines.count {
      let line = lines[index].trimmingCharacters(in: .whitespaces)
      index += 1
      if line.hasPrefix("```") {
        let first = index
        let indent = lines[index - 1].prefix { $0 == " " }.count
        while index < lines.count, lines[index].trimmingCharacters(in: .whitespaces) != "```" { index += 1 }
        guard index < lines.count else { throw Malformed(line: first, reason: "a block without an end") }
        let block = lines[first..<index].map {
          String($0.dropFirst(min(indent, $0.prefix { $0 == " " }.count)))
        }
        index += 1
        try add(
          block, kind: line.dropFirst(3).split(separator: " ").first.map(String.init) ?? "", marks,
          line: first + 1)
        marks = Marks()
      } else if !line.isEmpty {
        try marks.read(line, at: index)
      }
    }
  }

  /// How many blocks are run.
  var commandCount: Int {
    steps.count { if case .run = $0.action { true } else { false } }
  }

  private mutating func add(_ block: [String], kind: String, _ marks: Marks, line: Int) throws {
    let text = block.joined(separator: "\n")
    var step = Step(line: line, action: .run(text, prints: nil), exits: marks.exits, again: marks.again)
    if let reason = marks.skip {
      step.action = .skip(text, reason: reason)
    } else if let path = marks.path {
      step.action =
        marks.isThere ? .compare(path: path, text: text + "\n") : .write(path: path, text: text + "\n")
    } else if block.first?.hasPrefix("$ ") == true {
      steps += transcript(block, line: line)
      return
    } else if kind == "console" || kind == "text" {
      switch steps.last?.action {
      case .run(let command, prints: nil)?: steps[steps.count - 1].action = .run(command, prints: text)
      case .skip?: break
      default: throw Malformed(line: line, reason: "an output without its command")
      }
      return
    } else if kind != "sh" {
      return
    }
    steps.append(step)
  }

  private func transcript(_ block: [String], line: Int) -> [Step] {
    var found: [Step] = []
    var output: [String] = []
    func close() {
      guard case .run(let command, _)? = found.last?.action else { return }
      found[found.count - 1].action = .run(command, prints: output.joined(separator: "\n"))
      output = []
    }
    for (offset, text) in block.enumerated() {
      if text.hasPrefix("$ ") {
        close()
        found.append(Step(line: line + offset, action: .run(String(text.dropFirst(2)), prints: nil)))
      } else {
        output.append(text)
      }
    }
    close()
    return found
  }

  /// What the lines before a block say of it.
  private struct Marks {
    var path: String?
    var isThere = false
    var skip: String?
    var exits: Int32 = 0
    var again = false

    mutating func read(_ line: String, at number: Int) throws {
      path = nil
      if line.hasPrefix("<!-- test: "), line.hasSuffix(" -->") {
        let words = line.dropFirst("<!-- test: ".count).dropLast(" -->".count)
        if words.hasPrefix("skip: ") {
          skip = String(words.dropFirst("skip: ".count))
        } else if words.hasPrefix("exits "), let status = Int32(words.dropFirst("exits ".count)) {
          exits = status
        } else if words == "again" {
          again = true
        } else {
          throw Malformed(line: number, reason: "an unknown mark: \(words)")
        }
        return
      }
      for (end, there) in [("`:", false), ("`, as it is:", true)]
      where line.hasPrefix("`") && line.hasSuffix(end) {
        let inner = line.dropFirst().dropLast(end.count)
        guard !inner.contains("`") else { continue }
        (path, isThere) = (String(inner), there)
      }
    }
  }
}
