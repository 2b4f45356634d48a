import Foundation
import PluginTesting
import Testing

/// The end of a connection whose client is still sending (RFC 9112 section 9.6): a reset would take the answer from it.
@Suite("Lingering")
struct LingerTests {
  private func open(_ host: HostProcess) throws -> Int {
    let line = try host.get("/metrics").text.split(separator: "\n").first {
      $0.hasPrefix("bulkhead_connections_open ")
    }
    return Int(Double(line?.split(separator: " ").last ?? "") ?? -1)
  }

  @Test("an upload that is refused may go on for seconds, and its client still reads the 413")
  func slowUpload() throws {
    let host = try HostProcess(HostSettings(plugins: Section.fault()))
    let connection = try host.connect()
    try connection.send("POST /fault/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
    // Longer than a host that waits for a moment only; with a break in it.
    for pause: UInt32 in [100_000, 100_000, 2_500_000, 100_000, 100_000] {
      try connection.send([UInt8](repeating: 0, count: 100_000))
      usleep(pause)
    }
    let answer = try connection.receive(to: "POST")
    #expect(answer.status == 413)
    #expect(try connection.end() == .closed)
  }

  @Test("a client that sends no more is not waited for")
  func silent() throws {
    let host = try HostProcess(HostSettings(plugins: Section.fault()))
    let connection = try host.connect()
    try connection.send("POST /fault/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
    #expect(try connection.receive(to: "POST").status == 413)
    #expect(try open(host) == 2, "this one, and that of the question")
    try wait("the connection to be let go", within: .seconds(25)) { try open(host) == 1 }
  }

  @Test("a client that sends much and then ends is let go at once")
  func ended() throws {
    let host = try HostProcess(HostSettings(plugins: Section.fault()))
    let connection = try host.connect()
    try connection.send("POST /fault/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
    #expect(try connection.receive(to: "POST").status == 413)
    _ = try connection.send([UInt8](repeating: 0, count: 8 << 20), untilNothingIsTakenFor: .seconds(10))
    connection.finishSending()
    try wait("the connection to be let go", within: .seconds(4)) { try open(host) == 1 }
  }
}
