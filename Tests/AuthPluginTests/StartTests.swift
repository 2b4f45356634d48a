import Foundation
import PluginTesting
import Testing

@testable import AuthPlugin

@Suite struct StartTests {
  @Test(
    "settings that are not safe stop the start, and the setting is named",
    arguments: [
      (["secret": String(repeating: "x", count: 31)], "secret"),
      (["secret": String(repeating: "x", count: 47), "algorithm": "HS384"], "secret"),
      (["previous-secret": "short"], "previous-secret"),
      (["scrypt-cost": "13"], "scrypt-cost"), (["scrypt-cost": "21"], "scrypt-cost"),
      (["access-ttl": "0s"], "access-ttl"), (["refresh-ttl": "1m"], "refresh-ttl"),
      (["leeway": "1h"], "leeway"), (["login-attempts": "0"], "login-attempts"),
      (["admin-emails": "boss"], "admin-emails"), (["cache-size": "-1"], "cache-size"),
    ])
  func unsafe(_ settings: [String: String], _ key: String) throws {
    do {
      _ = try AuthHost(settings)
      Issue.record("it started")
    } catch StartFailure.startFailed(let message) {
      #expect(message.contains("'\(key)'"))
      #expect(!message.contains("xxxx"), "a secret is shown")
    }
  }

  @Test(
    "an algorithm that is not among the choices is refused", arguments: ["none", "hs256", "RS256", "EdDSA"])
  func algorithm(_ name: String) throws {
    #expect(throws: StartFailure.self) { try AuthHost(["algorithm": name]) }
  }

  @Test(
    "tokens are signed and verified by any of the HMACs",
    arguments: SignatureAlgorithm.symmetric)
  func algorithms(_ algorithm: SignatureAlgorithm) throws {
    let auth = try AuthHost(["algorithm": algorithm.rawValue, "secret": String(repeating: "s", count: 64)])
    let grant = try auth.register("ada@example.com")
    #expect(try auth.me(grant.accessToken).status == 200)
  }

  @Test("without a secret one is made, that only its owner can read, and that the next start uses")
  func secretFile() throws {
    let first = try AuthHost(["secret": ""])
    let grant = try first.register("ada@example.com")
    let path = first.host.stateDirectory + "/signing-secret"
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    #expect(attributes[.posixPermissions] as? Int == 0o600)
    let text = try String(contentsOfFile: path, encoding: .utf8)
    #expect(Base64.url.decode(text.dropLast().utf8)?.count == 64)
    let second = try AuthHost(on: first.database, ["secret": ""], generation: 2)
    #expect(try second.me(grant.accessToken).status == 200)
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: first.host.stateDirectory).count {
        $0.contains("signing-secret")
      } == 1)
    let other = try AuthHost(["secret": ""])
    #expect(try other.visit("Bearer \(grant.accessToken)").status == 401)
  }

  private func made(_ path: String) -> SecretFile { SecretFile(path: path, origin: .plugin) }

  @Test("of many who make the secret at a time, all get the same")
  func secretRace() throws {
    let directory = try Scratch()
    for round in 0..<20 {
      let path = directory.path + "/secret-\(round)"
      let secrets = try onThreads(8) { _ in
        try made(path).secrets { count in (0..<count).map { _ in .random(in: 0...255) } }
      }
      #expect(Set(secrets).count == 1)
    }
  }

  @Test("a secret that others can read, that is a link, or that is none, is refused")
  func unsafeSecret() throws {
    let directory = try Scratch()
    let path = directory.path + "/signing-secret"
    let random = { (count: Int) in [UInt8](repeating: 7, count: count) }
    _ = try made(path).secrets(random: random)
    try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: path)
    #expect(throws: SecretFile.Failure.self) { try made(path).secrets(random: random) }
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
    let link = directory.path + "/link"
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: path)
    #expect(throws: SecretFile.Failure.self) { try made(link).secrets(random: random) }
    try Data("AAAA\n".utf8).write(to: URL(fileURLWithPath: path))
    #expect(throws: SecretFile.Failure.self) { try made(path).secrets(random: random) }
  }
}

/// A directory for one test.
final class Scratch {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.appendingPathComponent("auth-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit {
    do {
      try FileManager.default.removeItem(atPath: path)
    } catch {
      print("cannot remove \(path): \(error)")
    }
  }
}
