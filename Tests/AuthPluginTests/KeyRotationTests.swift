import Foundation
import PluginTesting
import Synchronization
import Testing

@testable import AuthPlugin

@Suite struct KeyRotationTests {
  let scratch: Scratch
  init() throws { scratch = try Scratch() }

  private static let old = String(repeating: "o", count: 32)
  private static let new = String(repeating: "n", count: 40)

  /// Replaces a file by a rename, for its owner alone.
  @discardableResult
  private func write(_ text: String, _ name: String = "secrets", mode: Int = 0o600) throws -> String {
    let path = scratch.path + "/" + name
    try Data(text.utf8).write(to: URL(fileURLWithPath: path + ".new"))
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path + ".new")
    guard rename(path + ".new", path) == 0 else { throw CocoaError(.fileWriteUnknown) }
    return path
  }

  private func start(_ path: String) throws -> AuthHost {
    try AuthHost(["secret": "", "secret-file": path])
  }

  private func accepts(_ auth: AuthHost, _ secret: String) throws -> Bool {
    try auth.visit("Bearer \(TokenForge(secret: secret).token())").status == 200
  }

  @Test("the first secret of the file signs, all verify, and a change counts without a restart")
  func rotation() throws {
    let path = try write("\(Self.old)\n")
    let auth = try start(path)
    let grant = try auth.register("ada@example.com")
    #expect(try accepts(auth, Self.old))
    #expect(try !accepts(auth, Self.new))

    try write("# the new one first\n\(Self.new)\r\n\n\(Self.old)\n")
    #expect(try accepts(auth, Self.new), "at once: another generation may sign with it already")
    #expect(try auth.me(grant.accessToken).status == 200, "the old one verifies on")
    let next = try Grant(try auth.logIn("ada@example.com"))
    let other = try AuthHost(["secret": Self.new])
    #expect(try other.visit("Bearer \(next.accessToken)").status == 200, "the new one signs")

    try write("\(Self.new)\n")
    try wait("the old secret to be gone") { try auth.me(grant.accessToken).status == 401 }
    #expect(try auth.me(next.accessToken).status == 200)
  }

  @Test("the secret that was made is exchanged in the same way")
  func madeSecret() throws {
    let auth = try AuthHost(["secret": ""])
    let path = auth.host.stateDirectory + "/signing-secret"
    let made = try String(contentsOfFile: path, encoding: .utf8)
    let next = [UInt8](repeating: 7, count: 64)
    let grant = try auth.register("ada@example.com")
    func exchange(_ text: String) throws {
      let file = try write(text)
      guard rename(file, path) == 0 else { throw CocoaError(.fileWriteUnknown) }
    }
    let probe = try TokenForge(secret: String(decoding: next, as: UTF8.self)).token()
    #expect(try auth.visit("Bearer \(probe)").status == 401)
    try exchange(Base64.url.encode(next) + "\n" + made)
    #expect(try auth.visit("Bearer \(probe)").status == 200)
    #expect(try auth.me(grant.accessToken).status == 200)
    let fresh = try Grant(try auth.logIn("ada@example.com"))
    try exchange(Base64.url.encode(next) + "\n")
    try wait("the old secret to be gone") { try auth.me(grant.accessToken).status == 401 }
    #expect(try auth.me(fresh.accessToken).status == 200)
  }

  @Test(
    "a file that is no good later changes nothing, and the log says so once, without showing it",
    arguments: [
      ("", 0o600), ("# nothing\n", 0o600), ("too short\n", 0o600), (KeyRotationTests.new + "\n", 0o644),
    ])
  func bad(_ text: String, _ mode: Int) throws {
    let auth = try start(try write("\(Self.old)\n"))
    let token = try TokenForge(secret: Self.old).token()
    #expect(try auth.visit("Bearer \(token)").status == 200)
    try write(text, mode: mode)
    try wait("the file to be looked at") {
      _ = try auth.visit("Bearer \(token)")
      return auth.host.logLines.contains { $0.message.hasPrefix("the keys stay as they are") }
    }
    #expect(try auth.visit("Bearer \(token)").status == 200)
    #expect(try accepts(auth, Self.old))
    // Looked at again every second, and for every token that no key has signed.
    let second = time(nil)
    try wait("two seconds") {
      let isForgedAccepted = try accepts(auth, String(repeating: "f", count: 32))
      #expect(!isForgedAccepted)
      return time(nil) > second + 2
    }
    let lines = auth.host.logLines.map(\.message)
    #expect(lines.count { $0.hasPrefix("the keys stay as they are: \(scratch.path)/secrets") } == 1)
    #expect(!lines.contains { $0.contains("too short") || $0.contains("nnnn") })
    try write("\(Self.new)\n\(Self.old)\n")
    #expect(try accepts(auth, Self.new), "a good one counts again")
  }

  @Test("what was refused for its mode alone is read when the mode is right")
  func mode() throws {
    let path = try write("\(Self.old)\n")
    let auth = try start(path)
    try write("\(Self.new)\n\(Self.old)\n", mode: 0o604)
    #expect(try !accepts(auth, Self.new))
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
    #expect(try accepts(auth, Self.new))
  }

  @Test("a pipe in place of a file holds nobody up")
  func pipe() throws {
    let path = try write("\(Self.old)\n")
    let set = try KeyPair.set([KeyPair(.edDSA).jwk(id: "1")])
    let keys = try write(String(decoding: set, as: UTF8.self), "jwks.json")
    let auth = try AuthHost(["secret": "", "secret-file": path, "jwks-file": keys])
    for file in [path, keys] {
      guard mkfifo(file + ".pipe", 0o600) == 0, rename(file + ".pipe", file) == 0 else {
        throw CocoaError(.fileWriteUnknown)
      }
      #expect(try !accepts(auth, Self.new))
      #expect(try accepts(auth, Self.old))
      #expect(auth.host.logLines.contains { $0.message.hasPrefix("the keys stay as they are: \(file)") })
    }
  }

  @Test("a file that is no good at the start stops it, and so does a secret beside it")
  func badStart() throws {
    let good = try write("\(Self.old)\n", "good")
    for settings in [
      ["secret-file": try write("short\n", "short")], ["secret-file": try write("", "empty")],
      ["secret-file": scratch.path + "/missing"],
      ["secret-file": try write("\(Self.old)\n", "open", mode: 0o640)],
      ["secret-file": good, "secret": Self.old], ["secret-file": good, "previous-secret": Self.old],
    ] {
      do {
        _ = try AuthHost(["secret": ""].merging(settings) { $1 })
        Issue.record("it started with \(settings)")
      } catch StartFailure.startFailed(let message) {
        #expect(message.contains("'secret-file'"), "\(message)")
        #expect(!message.contains("oooo"))
      }
    }
  }

  @Test("keys of a JWK set are rotated under load, and no request is refused")
  func keySetUnderLoad() throws {
    let pairs = try (0..<4).map { _ in try KeyPair(.edDSA) }
    let published = try (0..<4).map { try JSONSerialization.data(withJSONObject: pairs[$0].jwk(id: "\($0)")) }
    let tokens = try pairs.enumerated().map { try $1.token(header: ["kid": "\($0)"]) }
    func publish(_ range: ClosedRange<Int>) throws -> String {
      let keys = range.map { String(decoding: published[$0], as: UTF8.self) }
      return try write(#"{"keys":[\#(keys.joined(separator: ","))]}"#, "jwks.json")
    }
    let auth = try AuthHost(["jwks-file": try publish(0...0), "cache-size": "0"])
    // The key that the issuer signs with. Held while a token is used: a key is withdrawn when its last token has been.
    let signing = Mutex(0)
    let isOver = Mutex(false)
    let counts = try onThreads(3) { thread in
      var served = 0
      guard thread == 0 else {
        while !isOver.withLock({ $0 }) {
          let status = try signing.withLock { try auth.visit("Bearer \(tokens[$0])").status }
          #expect(status == 200)
          served += 1
        }
        return served
      }
      defer { isOver.withLock { $0 = true } }
      for next in 1..<pairs.count {
        _ = try publish(next - 1...next)
        // Signed with from the same moment on.
        signing.withLock { $0 = next }
        #expect(try auth.visit("Bearer \(tokens[next - 1])").status == 200)
        _ = try publish(next...next)
        try wait("the last key to be gone") { try auth.visit("Bearer \(tokens[next - 1])").status == 401 }
      }
      return served
    }
    #expect(counts[1] + counts[2] > 100)
  }
}
