import Foundation
import PluginTesting
import Synchronization

@testable import bulkhead

/// The plugins of Tests/Fixtures/Actor, compiled once a run.
enum ActorPlugin {
  /// What each library can do.
  private static let variants = [
    ("Actor", "BH_HANDLES_REQUEST|BH_HANDLES_RESPONSE|BH_ROUTES"),
    ("ActorAuth", "BH_HANDLES_REQUEST|BH_HANDLES_RESPONSE|BH_ROUTES|BH_AUTHENTICATES"),
    ("ActorCORS", "BH_HANDLES_REQUEST|BH_HANDLES_RESPONSE|BH_DECIDES_CORS"),
    ("ActorRouter", "BH_ROUTES"),
    ("ActorResponse", "BH_HANDLES_RESPONSE"),
  ]

  /// Where they are.
  static let directory: Result<String, any Error> = Result { try compile() }

  private static func compile() throws -> String {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().path
    var template = Array("/tmp/bulkhead-actor-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw TestFailure("mkdtemp: \(String(cString: strerror(errno)))") }
    let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    for (name, capabilities) in variants {
      let compiler = try ReleaseBuild.run(
        "/usr/bin/env",
        [
          "cc", "-std=c11", "-shared", "-fPIC", "-I", "\(root)/Sources/PluginABI/include",
          "-DCAPABILITIES=(\(capabilities))", "-o", "\(directory)/lib\(name).so",
          "\(root)/Tests/Fixtures/Actor/actor.c",
        ])
      guard compiler.status == .exited(0) else {
        throw TestFailure("cc cannot compile actor.c: \(compiler.errors)")
      }
    }
    return directory
  }

  /// A copy of one of the libraries under a name of its own: its counters and its gate are no other test's.
  static func copy(of library: String) throws -> String {
    let name = "\(library)-\(copies.wrappingAdd(1, ordering: .relaxed).oldValue)"
    try FileManager.default.copyItem(
      atPath: "\(try directory.get())/lib\(library).so", toPath: "\(try directory.get())/lib\(name).so")
    return name
  }

  private static let copies = Atomic<Int>(0)

  /// A counter or function of one of the libraries.
  static func symbol(_ name: String, of library: String) throws -> UnsafeMutableRawPointer {
    let path = "\(try directory.get())/lib\(library).so"
    guard let image = dlopen(path, RTLD_NOW | RTLD_NOLOAD), let symbol = dlsym(image, name) else {
      throw TestFailure("\(library) is not loaded, or has no \(name)")
    }
    return symbol
  }

  static func counter(_ name: String, of library: String) throws -> Int32 {
    try symbol(name, of: library).load(as: Int32.self)
  }

  /// Lets those go on that wait in `block`; or makes the next ones wait.
  static func setGate(open: Bool, of library: String) throws {
    typealias Function = @convention(c) (Int32) -> Void
    unsafeBitCast(try symbol("actor_open", of: library), to: Function.self)(open ? 1 : 0)
  }

  /// A request field that tells the plugin `name` what to do.
  static func act(_ name: String, _ phase: String, _ command: String) -> (String, String) {
    ("Act", "\(name) \(phase) \(command)")
  }

  static func section(_ name: String, _ library: String = "Actor", _ lines: String...) -> String {
    (["[plugin \(name)]", "library = \(library)"] + lines).joined(separator: "\n") + "\n\n"
  }
}
