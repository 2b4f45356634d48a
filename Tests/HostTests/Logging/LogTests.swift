import Foundation
import Synchronization
import Testing

@testable import bulkhead

@Suite("Log")
struct LogTests {
  private func line(_ message: String, _ format: LogFormat, _ fields: [(String, String)] = []) -> String {
    let request = LoggedRequest(id: "r1", traceparent: "00-t-s-01")
    return String(
      decoding: Log.line("T", .warning, message, request: request, fields: fields, format: format),
      as: UTF8.self)
  }

  @Test("a line has the plugin's name, the request's id and its trace, as text and as JSON")
  func facts() throws {
    let fields = [("plugin", "auth")]
    #expect(line("gone", .text, fields) == "T warning gone plugin=auth request_id=r1 traceparent=00-t-s-01\n")
    let json = try #require(
      try JSONSerialization.jsonObject(with: Data(line("gone", .json, fields).utf8)) as? [String: String])
    #expect(
      json == [
        "time": "T", "level": "warning", "message": "gone", "plugin": "auth", "request_id": "r1",
        "traceparent": "00-t-s-01",
      ])
  }

  @Test(
    "whatever a message holds, it is one line and no terminal's command",
    arguments: [
      "a\nb", "a\r\nb", "a\u{2028}b", "a\u{85}b", "a\u{1b}[2Jb", "a\u{0}b", "a\u{9b}2Jb", "a\u{7f}b",
      "ä\u{1}",
    ])
  func oneLine(_ message: String) throws {
    for format in LogFormat.allCases {
      let text = line(message, format)
      #expect(text.hasSuffix("\n"))
      #expect(text.dropLast().unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7f })
      if format == .text {
        #expect(text.dropLast().unicodeScalars.allSatisfy { !(0x80...0x9f).contains($0.value) })
      }
    }
  }

  @Test("a plugin has so many lines a second, and those beyond are counted")
  func quota() {
    let quota = LogQuota()
    let second: UInt64 = 5_000_000_000
    let admitted = (0..<250).filter { quota.admits(at: second + $0) }.count
    #expect(admitted == LogQuota.linesPerSecond)
    #expect(quota.dropped.load(ordering: .relaxed) == 150)
    #expect(quota.admits(at: second + 1_000_000_000))
  }

  @Test("the line of a request, as text and as JSON")
  func access() throws {
    let x = Exchange(limits: .init())
    x.status = 200
    x.request.pointee.method_name = bh_bytes("GET")
    x.request.pointee.path = bh_bytes("/a")
    x.request.pointee.client_address = bh_bytes("::1")
    x.request.pointee.request_id = bh_bytes("r1")
    x.request.pointee.traceparent = bh_bytes("00-t-s-01")
    #expect(
      AccessLog.line(of: x, at: 1_755_227_045_007_999_999, nanoseconds: 1_034_567, format: .text)
        == "2025-08-15T03:04:05.007Z info GET /a 200 0 B 1.034 ms client=::1 request_id=r1 traceparent=00-t-s-01\n"
    )
    let json = AccessLog.line(of: x, at: 1_755_227_045_007_999_999, nanoseconds: 1_034_567, format: .json)
    let object = try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
    #expect(object["duration_us"] as? Int == 1034)
    #expect(object["traceparent"] as? String == "00-t-s-01")
    x.request.pointee.path = bh_bytes()
    x.request.pointee.method_name = bh_bytes()
    #expect(
      AccessLog.line(of: x, at: 1_755_227_045_007_999_999, nanoseconds: 0, format: .text).hasPrefix(
        "2025-08-15T03:04:05.007Z info - - 200 0 B 0.000 ms "))
  }
}
