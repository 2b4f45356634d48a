import Foundation
import PluginTesting
import Testing

@testable import HTTPClient

/// Against `openssl s_server`, with a certificate that no authority has signed.
@Suite struct TLSTests {
  @Test("a peer whose certificate nobody trusts is not spoken to, one that the options trust is")
  func verification() throws {
    let directory = try TemporaryDirectory()
    let server = try TLSServer(in: directory, name: "IP:127.0.0.1")
    let strict = try HTTPClient()
    let refusal = try #require(throws: HTTPClientError.self) {
      try strict.send(ClientRequest(.get, try strict.address("https://127.0.0.1:\(server.port)/")))
    }
    #expect(refusal.kind == .insecure)
    #expect(!refusal.wasSent)
    var options = HTTPClient.Options()
    options.authorities = server.certificate
    let trusting = try HTTPClient(options)
    let answer = try trusting.send(
      ClientRequest(.get, try trusting.address("https://127.0.0.1:\(server.port)/")))
    #expect(answer.status == 200)
  }

  @Test("a certificate for another name is refused, trusted or not")
  func otherName() throws {
    let directory = try TemporaryDirectory()
    let server = try TLSServer(in: directory, name: "DNS:example.org")
    var options = HTTPClient.Options()
    options.authorities = server.certificate
    let client = try HTTPClient(options)
    let refusal = try #require(throws: HTTPClientError.self) {
      try client.send(ClientRequest(.get, try client.address("https://127.0.0.1:\(server.port)/")))
    }
    #expect(refusal.kind == .insecure)
  }
}

/// `openssl s_server -www` on a port that the kernel chooses.
private final class TLSServer {
  let certificate: String
  let port: Int
  private let process: ChildProcess

  init(in directory: TemporaryDirectory, name: String) throws {
    certificate = directory.path + "/certificate.pem"
    let key = directory.path + "/key.pem"
    let made = try ReleaseBuild.run(
      "/usr/bin/env",
      [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
        "2", "-subj", "/CN=test", "-addext", "subjectAltName=\(name)", "-keyout", key, "-out", certificate,
      ])
    guard made.status == .exited(0) else {
      throw HarnessError.system(call: "openssl req", reason: made.errors)
    }
    process = try ChildProcess(
      "/usr/bin/env",
      ["openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-cert", certificate, "-key", key],
      environment: ReleaseBuild.cleanEnvironment, directory: directory.path, name: "s_server")
    var found: Int?
    try wait("openssl s_server listens") { [process] in
      let line = process.output.split(separator: "\n").first { $0.hasPrefix("ACCEPT ") }
      found = line?.split(separator: ":").last.flatMap { Int($0) }
      return found != nil
    }
    port = found ?? 0
  }

  deinit { process.send(signal: SIGKILL) }
}
