import Glibc
import LinuxShims

/// What a worker writes to its standard output and error: plugins, their libraries and their runtimes write there, and say why
/// they end. It becomes lines of the host's log, and the last words of faults.
///
/// The worker's end of the pipe does not block: when the pipe is full, since the supervisor is stopped or a plugin writes more
/// than is read, what does not fit is lost to whoever writes it, and no thread waits.
final class WorkerOutput {
  /// A longer line is cut into several. This is a number of bytes.
  static let longestLine = 8 << 10
  /// Last words are cut to so many bytes.
  static let wordsLimit = 4 << 10
  static let linesPerSecond = 100
  /// What was said so long before a fault belongs to it, in nanoseconds.
  static let lastMoments: UInt64 = 2_000_000_000
  /// Read at most in one turn of the supervisor, in bytes.
  private static let turn = 256 << 10
  private static let pipeSize: Int32 = 256 << 10

  let reading: FileDescriptor
  /// Until the worker has been started.
  let writing: FileDescriptor
  /// False at the end of what can be read.
  private(set) var isOpen = true
  private var chunk = [UInt8](repeating: 0, count: 16 << 10)
  private var words = LastWords()
  private var splitter = LineSplitter(limit: WorkerOutput.longestLine)
  private var second: UInt64 = 0
  private var linesInSecond = 0
  private var dropped = 0

  init() throws(SystemError) {
    var ends: [Int32] = [-1, -1]
    try checked("pipe2") { shim_pipe(&ends) }
    reading = FileDescriptor(raw: ends[0])
    writing = FileDescriptor(raw: ends[1])
    do throws(SystemError) {
      try reading.setNonBlocking()
      try writing.setNonBlocking()
    } catch {
      reading.close()
      writing.close()
      throw error
    }
    // As much as the system gives: the default is 64 KiB.
    _ = fcntl(reading.raw, 1024 + 7, WorkerOutput.pipeSize)
  }

  /// Takes what is there now, up to a limit.
  ///
  /// - Parameter say: writes a line to the log, without its end.
  func drain(at now: UInt64, _ say: (String) -> Void) {
    var left = WorkerOutput.turn
    while isOpen, left > 0 {
      let count = read(reading.raw, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        if count == 0 { isOpen = false }
        break
      }
      left -= count
      words.add(chunk[..<count], at: now)
      splitter.add(chunk[..<count]) { pass($0, at: now, say) }
    }
    if now / 1_000_000_000 != second { sayDropped(say) }
  }

  /// What stands without a line's end, since no more will come.
  func flush(at now: UInt64, _ say: (String) -> Void) {
    splitter.flush { pass($0, at: now, say) }
    sayDropped(say)
  }

  /// What was said in the moments before now, and belongs to no earlier fault; nil if nothing was.
  ///
  /// - Parameter duration: of the call that the fault was in, in nanoseconds, should it have taken long: the moments begin
  ///   before it.
  func takeLastWords(at now: UInt64, after duration: UInt64 = 0) -> String? {
    words.take(at: now, since: WorkerOutput.lastMoments &+ duration)
  }

  /// This is a number of bytes of JSON: with what the log adds, a line is no longer than what a pipe takes as a whole (pipe(7),
  /// PIPE_BUF), so that lines of several processes do not mix.
  static let longestMessage = 3 << 10

  /// The text in pieces of which each is a line of the log.
  static func messages(of text: String) -> [String] {
    var (pieces, piece, size) = ([String](), String.UnicodeScalarView(), 0)
    for scalar in text.unicodeScalars {
      let isEscaped = scalar == "\"" || scalar == "\\"
      let count = scalar.value < 0x20 ? 6 : isEscaped ? 2 : UTF8.width(scalar)
      if size + count > longestMessage {
        pieces.append(String(piece))
        (piece, size) = (String.UnicodeScalarView(), 0)
      }
      piece.append(scalar)
      size += count
    }
    return pieces + [String(piece)]
  }

  private func pass(_ line: [UInt8], at now: UInt64, _ say: (String) -> Void) {
    if now / 1_000_000_000 != second {
      sayDropped(say)
      second = now / 1_000_000_000
      linesInSecond = 0
    }
    linesInSecond += 1
    guard linesInSecond <= WorkerOutput.linesPerSecond else {
      dropped += 1
      return
    }
    WorkerOutput.messages(of: String(decoding: line, as: UTF8.self)).forEach(say)
  }

  private func sayDropped(_ say: (String) -> Void) {
    guard dropped > 0 else { return }
    say("\(dropped) lines more are dropped")
    dropped = 0
  }
}

/// Cuts bytes into lines: at line feeds, at carriage returns, and where one is too long. Empty lines are left out.
struct LineSplitter {
  let limit: Int
  private var line: [UInt8] = []

  init(limit: Int) { self.limit = limit }

  mutating func add(_ bytes: ArraySlice<UInt8>, _ body: ([UInt8]) -> Void) {
    for byte in bytes {
      if byte == 0x0a || byte == 0x0d {
        flush(body)
      } else {
        line.append(byte)
        if line.count == limit { flush(body) }
      }
    }
  }

  mutating func flush(_ body: ([UInt8]) -> Void) {
    if !line.isEmpty { body(line) }
    line.removeAll(keepingCapacity: true)
  }
}

/// The end of what a worker has said, with its times.
struct LastWords {
  private var pieces: [(at: UInt64, bytes: [UInt8])] = []
  private var count = 0

  mutating func add(_ bytes: ArraySlice<UInt8>, at now: UInt64) {
    pieces.append((now, Array(bytes.suffix(WorkerOutput.wordsLimit))))
    count += min(bytes.count, WorkerOutput.wordsLimit)
    while count > 2 * WorkerOutput.wordsLimit || pieces.count > 256, let first = pieces.first {
      count -= first.bytes.count
      pieces.removeFirst()
    }
  }

  /// Control characters but line ends and tabs are harmless in it, and what is no UTF-8 is replaced.
  ///
  /// - Parameter moments: how far back they reach, in nanoseconds.
  mutating func take(at now: UInt64, since moments: UInt64 = WorkerOutput.lastMoments) -> String? {
    let last = pieces.filter { $0.at &+ moments >= now }.flatMap(\.bytes)
    pieces = []
    count = 0
    var text = String.UnicodeScalarView()
    for scalar in String(decoding: last.suffix(WorkerOutput.wordsLimit), as: UTF8.self).unicodeScalars {
      let isControl = scalar.properties.generalCategory == .control && scalar != "\n" && scalar != "\t"
      text.append(isControl ? "?" : scalar)
    }
    while let end = text.last, end == "\n" || end == " " { text.removeLast() }
    return text.isEmpty ? nil : String(text)
  }
}
