import Foundation
import PluginTesting

/// The misbehaving plugins of Tests/Fixtures/Ways, built by the compilers of this machine.
struct WayLibraries: Sendable {
  /// Where they stand.
  let directory: String
  /// Those that could be built.
  private(set) var plugins: Set<WayPlugin> = []
  /// What is left out, and why.
  private(set) var skipped: [String] = []

  private static let fixtures = "\(ReleaseBuild.packageRoot)/Tests/Fixtures/Ways"
  private static let include = "\(ReleaseBuild.packageRoot)/Sources/PluginABI/include"

  init(in directory: TemporaryDirectory) throws {
    self.directory = directory.path
    let common = ["-w", "-g", "-O1", "-fno-omit-frame-pointer", "-shared", "-fPIC", "-pthread"]
    if let compiler = WayLibraries.compiler(of: ["cc", "gcc", "clang"]) {
      try build(compiler, ["-std=gnu11"] + common, sources("c", "c"), to: path(.c))
      // Other bytes, and so another image with variables of its own.
      try build(
        compiler, ["-std=gnu11", "-DWAY_NAME=\"way-c-usual\""] + common, sources("c", "c"), to: path(.cUsual))
      try build(
        compiler, common, ["\(WayLibraries.fixtures)/load/missing-symbol.c"], to: loaded("missing-symbol"))
      try build(
        compiler, common + ["-fno-builtin"], ["\(WayLibraries.fixtures)/load/own-symbols.c"],
        to: loaded("own-symbols"))
      for version in 1...2 {
        let place = "\(directory.path)/version-\(version)"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        try build(
          compiler, common + ["-DVERSION=\(version)", "-Wl,-soname,libshared.so.1"],
          ["\(WayLibraries.fixtures)/load/shared.c"], to: "\(place)/libshared.so.1")
        try build(
          compiler, common + ["-DVERSION=\(version)", "-Wl,-rpath,\(place)"],
          ["\(WayLibraries.fixtures)/load/two-versions.c", "\(place)/libshared.so.1"],
          to: loaded("two-versions-\(version)"))
      }
      plugins.formUnion([.c, .cUsual])
    } else {
      skipped.append("C: there is none of cc, gcc, clang")
    }
    if let compiler = WayLibraries.compiler(of: ["g++", "c++", "clang++"]) {
      try build(compiler, ["-std=c++17"] + common, sources("cxx", "cpp"), to: path(.cxx))
      plugins.insert(.cxx)
    } else {
      skipped.append("C++: there is none of g++, c++, clang++")
    }
    if let compiler = WayLibraries.compiler(of: ["rustc"]) {
      let options = [
        "--edition", "2021", "--crate-type", "cdylib", "--cap-lints", "allow", "-g", "-O", "-C",
        "overflow-checks=on", "-C", "force-frame-pointers=yes",
      ]
      let source = ["\(WayLibraries.fixtures)/rust/plugin.rs"]
      try build(compiler, options, source, to: path(.rust))
      try build(compiler, options + ["--cfg", "unwinds"], source, to: path(.rustUnwinds))
      try build(compiler, options + ["-C", "panic=abort"], source, to: path(.rustAborts))
      plugins.formUnion([.rust, .rustUnwinds, .rustAborts])
    } else {
      skipped.append("Rust: there is no rustc")
    }
  }

  func path(_ plugin: WayPlugin) -> String { "\(directory)/libway-\(plugin.rawValue).so" }

  /// A library that is wrong as soon as it is loaded.
  func loaded(_ name: String) -> String { "\(directory)/lib\(name).so" }

  private func sources(_ folder: String, _ suffix: String) throws -> [String] {
    let place = "\(WayLibraries.fixtures)/\(folder)"
    return try FileManager.default.contentsOfDirectory(atPath: place).sorted()
      .filter { $0.hasSuffix(".\(suffix)") }.map { "\(place)/\($0)" }
  }

  private func build(_ compiler: String, _ options: [String], _ sources: [String], to output: String) throws {
    let isRust = compiler == "rustc"
    let include = isRust ? [] : ["-I", WayLibraries.include]
    let libraries = isRust ? [] : ["-lm"]
    let result = try ReleaseBuild.run(
      "/usr/bin/env", [compiler] + options + include + ["-o", output] + sources + libraries,
      within: .seconds(120))
    guard result.status == .exited(0) else {
      throw HarnessError.system(call: "\(compiler) for \(output)", reason: result.errors)
    }
  }

  /// The first that this machine has and that runs.
  private static func compiler(of names: [String]) -> String? {
    names.first { name in
      // One that is named but cannot run (a proxy without a toolchain) is none.
      let version = try? ReleaseBuild.run("/usr/bin/env", [name, "--version"])  // lint: allow
      return version?.status == .exited(0)
    }
  }
}
