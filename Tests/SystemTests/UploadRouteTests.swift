import PluginTesting
import Testing

/// The same from the SDK: routes with a streamed body.
@Suite("Upload routes of the SDK")
struct UploadRouteTests {
  private func sum(_ bytes: [UInt8]) -> UInt64 { bytes.reduce(0) { ($0 &* 31) &+ UInt64($1) } }

  @Test("each byte arrives, chunk by chunk", arguments: ["upload", "async-upload"])
  func arrives(route: String) throws {
    let host = try HostProcess(HostSettings(plugins: Section.fault()))
    let bytes = UploadHost.bytes(300_000)
    let connection = try host.connect()
    try connection.send(UploadHost.head("/fault/\(route)", length: bytes.count))
    try connection.send(bytes)
    let answer = try connection.receive()
    #expect(answer.json["count"].int == bytes.count, "\(answer.text)")
    #expect(answer.json["sum"].string == "\(sum(bytes))")
    #expect(answer.json["whole"].int == 0)
    try connection.send(UploadHost.head("/fault/\(route)", length: nil))
    try connection.send(UploadHost.chunk(bytes) + Array("0\r\n\r\n".utf8))
    #expect(try connection.receive().json["sum"].string == "\(sum(bytes))")
  }

  @Test("a body that does not come to its end is no fault", arguments: ["upload", "async-upload"])
  func incomplete(route: String) throws {
    let host = try HostProcess(HostSettings(host: "body-timeout = 500ms", plugins: Section.fault()))
    let half = try host.connect()
    try half.send(UploadHost.head("/fault/\(route)", length: 10) + "12345")
    half.finishSending()
    #expect(try half.receive().json["code"].string == "body-incomplete")
    let late = try host.connect()
    try late.send(UploadHost.head("/fault/\(route)", length: 10) + "12345")
    #expect(try late.receive().status == 408)
    let malformed = try host.connect()
    try malformed.send(UploadHost.head("/fault/\(route)", length: nil) + "x\r\n")
    #expect(try malformed.receive().status == 400)
    #expect(try host.plugin("fault")["faults"].int == 0)
  }

  @Test(
    "a fault in the middle of a body is the plugin's",
    arguments: ["upload", "async-upload"], [("throw", 503), ("trap", 503), ("hang", 504)])
  func faults(route: String, fault: (name: String, status: Int)) throws {
    let host = try HostProcess(
      HostSettings(plugins: Section.fault("fault", "paths = /nothing", "recover = never", "timeout = 500ms")))
    let connection = try host.connect()
    let fields = [("X-Fault", fault.name), ("X-Fault-Phase", "route")]
    try connection.send(UploadHost.head("/fault/\(route)", length: 100, fields[0], fields[1]) + "12345")
    let answer = try connection.receive()
    #expect(answer.status == fault.status, "\(answer.text)")
    #expect(try connection.end() == .closed)
    try host.waitFor(plugin: "fault", state: "quarantined")
  }
}
