import Foundation
import Testing

@testable import bulkhead

@Suite("Log output")
struct LogOutputTests {
  private func lines(_ range: Range<Int>) -> [UInt8] {
    Array(range.map { "line \($0) \(String(repeating: "x", count: 80))\n" }.joined().utf8)
  }

  private func write(_ bytes: [UInt8], to output: LogOutput) { bytes.withUnsafeBytes { output.write($0) } }

  private func drain(_ descriptor: Int32) -> [String] {
    var text: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    while poll(&ready, 1, 0) > 0 {
      let count = read(descriptor, &chunk, chunk.count)
      guard count > 0 else { break }
      text += chunk[..<count]
    }
    return String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init)
  }

  @Test(
    "a reader that does not read holds nothing up: lines are dropped, whole, and counted",
    arguments: [true, false])
  func stuckReader(isPipe: Bool) throws {
    var ends: [Int32] = [-1, -1]
    if isPipe {
      #expect(pipe(&ends) == 0)
    } else {
      #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
    }
    let output = LogOutput(ends[1])
    let begin = Date()
    for batch in 0..<100 { write(lines((batch * 100)..<(batch * 100 + 100)), to: output) }
    #expect(Date().timeIntervalSince(begin) < 5)
    let dropped = output.droppedLines.load(ordering: .relaxed)
    #expect(dropped > 0)
    let seen = drain(ends[0])
    #expect(seen.count + Int(dropped) == 10_000)
    #expect(seen.allSatisfy { $0.hasPrefix("line ") && $0.hasSuffix(String(repeating: "x", count: 80)) })
    // It reads again: nothing more is lost.
    write(lines(0..<100), to: output)
    #expect(drain(ends[0]).count == 100)
    #expect(output.droppedLines.load(ordering: .relaxed) == dropped)
    close(ends[0])
    close(ends[1])
  }

  @Test("a slow reader is waited for, and gets every line")
  func slowReader() throws {
    var ends: [Int32] = [-1, -1]
    #expect(pipe(&ends) == 0)
    let output = LogOutput(ends[1])
    let (reader, writer) = (ends[0], ends[1])
    let counted = DispatchSemaphore(value: 0)
    let total = 5_000
    Thread.detachNewThread {
      var lines = 0
      var chunk = [UInt8](repeating: 0, count: 16 << 10)
      while lines < total {
        let count = read(reader, &chunk, chunk.count)
        guard count > 0 else { break }
        for index in 0..<count where chunk[index] == 0x0a { lines += 1 }
        usleep(200)
      }
      if lines == total { counted.signal() }
    }
    for batch in 0..<(total / 100) { write(lines((batch * 100)..<(batch * 100 + 100)), to: output) }
    #expect(counted.wait(timeout: .now() + 20) == .success)
    #expect(output.droppedLines.load(ordering: .relaxed) == 0)
    close(writer)
    close(reader)
  }

  @Test("a file gets every byte of however long a line")
  func file() throws {
    let path = "/tmp/bulkhead-log-\(UUID().uuidString)"
    let descriptor = open(path, O_RDWR | O_CREAT, 0o600)
    defer {
      close(descriptor)
      unlink(path)
    }
    let text = lines(0..<50) + Array(repeating: UInt8(ascii: "y"), count: 10_000) + [0x0a] + lines(50..<100)
    write(text, to: LogOutput(descriptor))
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data(text))
  }
}
