import Foundation
import PluginTesting

/// The files of a host that are edited at random: `plugins.conf` and the libraries of its four plugins, and what of them makes
/// sense at the moment.
///
/// `gate` is middleware before `app`; `keep` is required, and stands last in the file, so that no cut between two sections
/// looks like the wish of an operator.
struct WildFiles {
  static let libraries = [
    "gate": "FaultPlugin", "app": "FaultPlugin", "plain": "PlainCPlugin", "keep": "FaultPlugin",
  ]
  /// Tags end so: one that was cut off does not.
  static let end = ".end"

  let directory: TemporaryDirectory
  /// The last text that makes sense.
  private(set) var good: String
  /// Whether `plugins.conf` is that now.
  private(set) var isGood = true
  /// The file is cut off as it might be by the wish of an operator: it is not to stay so for seconds.
  private(set) var isCut = false
  /// Plugins whose library makes no sense now.
  private(set) var spoilt: Set<String> = []
  private var order = ["gate", "app", "plain"]
  private var tags = ["gate": 0, "app": 0, "keep": 0]
  private var extras: [Int] = []
  private var remarks = 0
  private var count = 0
  /// The code of each library, without marks.
  private let codes: [String: [UInt8]]

  init(in directory: TemporaryDirectory) throws {
    self.directory = directory
    var codes: [String: [UInt8]] = [:]
    for (plugin, library) in WildFiles.libraries {
      let path = try directory.copyLibrary(library, as: "lib\(plugin).so")
      codes[plugin] = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
    }
    self.codes = codes
    good = ""
    good = text()
  }

  var path: String { directory.path + "/plugins.conf" }
  func library(_ plugin: String) -> String { "\(directory.path)/lib\(plugin).so" }
  /// What `/keep/echo` says once the last good file serves.
  var tag: String { tag("keep") }

  private func tag(_ plugin: String) -> String { "\(plugin)-\(tags[plugin] ?? 0)\(WildFiles.end)" }

  private func section(_ plugin: String) -> String {
    var lines = ["mount = /\(plugin)", "recover = 500ms..2s"]
    switch plugin {
    case "gate": lines += ["paths = /app, /gate", "applies-to = all"]
    case "keep": lines += ["paths = /keep", "required = true"]
    // Its own middleware would put its tag over that of `gate`.
    case "app": lines.append("paths = /app/elsewhere")
    default: lines.append("paths = /\(plugin)")
    }
    if tags[plugin] != nil { lines.append("tag = \(tag(plugin))") }
    return Section.plugin(plugin, library: library(plugin), lines)
  }

  private func text() -> String {
    let extra = extras.map {
      Section.plugin("extra\($0)", library: "PlainCPlugin", ["mount = /extra\($0)", "paths = /extra\($0)"])
    }
    let sections = order.map(section) + extra + [section("keep")]
    return (remarks > 0 ? "# Remark \(remarks).\n" : "")
      + HostSettings(plugins: sections.joined()).text(stateDirectory: directory.path + "/state")
  }

  // MARK: Good edits

  /// Changes what the good file says, and answers what; nothing is written yet.
  mutating func change(_ random: inout SplitMix64) -> String {
    count += 1
    let what: String
    switch Int.random(in: 0..<6, using: &random) {
    case 0:
      remarks = count
      what = "remark"
    case 1:
      order.shuffle(using: &random)
      what = "order \(order.joined(separator: " "))"
    case 2:
      extras = extras.count < 2 ? extras + [count] : []
      what = "extras \(extras)"
    default:
      let plugin = ["gate", "app", "keep"].randomElement(using: &random) ?? "keep"
      tags[plugin] = count
      what = "tag of \(plugin)"
    }
    // Seen from without, whatever else it is.
    tags["keep"] = count
    good = text()
    return what
  }

  /// Writes the good text so that somebody who reads it meanwhile may find a part.
  mutating func write(_ random: inout SplitMix64) throws -> String {
    isCut = false
    let bytes = Array(good.utf8)
    switch Int.random(in: 0..<6, using: &random) {
    case 0:
      try overwrite(path, bytes)
      isGood = true
      return "in place"
    case 1:
      try overwrite(path, bytes, pieces: 6, pause: 30_000)
      isGood = true
      return "slowly in place"
    case 2:
      try append(bytes, &random)
      isGood = true
      return "piece by piece, closed after each"
    case 3:
      try clear(path)
      usleep(.random(in: 0...250_000, using: &random))
      try overwrite(path, bytes)
      isGood = true
      return "deleted and made anew"
    case 4:
      let target = "conf-\(count)"
      try directory.write(target, bytes)
      try link(target, as: path)
      isGood = true
      return "as a link to \(target)"
    default:
      try restore()
      return "by rename"
    }
  }

  /// Writes the last good text, as an editor does.
  mutating func restore() throws {
    var status = stat()
    if lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { try clear(path) }
    try directory.write("plugins.conf", good)
    isGood = true
  }

  private func append(_ bytes: [UInt8], _ random: inout SplitMix64) throws {
    try overwrite(path, [])
    var rest = bytes[...]
    while !rest.isEmpty {
      let piece = rest.prefix(.random(in: 1...400, using: &random))
      rest = rest.dropFirst(piece.count)
      let handle = try open(path)
      try handle.seekToEnd()
      try handle.write(contentsOf: piece)
      try handle.close()
      usleep(.random(in: 0...60_000, using: &random))
    }
  }

  // MARK: Bad edits

  /// Makes the file what it should not be, of which nothing may be taken.
  mutating func spoil(_ random: inout SplitMix64) throws -> String {
    // Of the file that is served, or of one that was never written whole.
    if Bool.random(using: &random) { _ = change(&random) }
    isGood = false
    isCut = false
    let bytes = Array(good.utf8)
    switch Int.random(in: 0..<15, using: &random) {
    case 0:
      try put([], &random)
      return "emptied"
    case 1:
      let text = good.replacing("tag = ", with: "tga = ")
      try put(Array(text.utf8), &random)
      return "misspelt"
    case 2:
      let text = String(good.prefix(upTo: good.range(of: "[plugin keep]")?.lowerBound ?? good.startIndex))
      try put(Array(text.utf8), &random)
      return "without the required plugin"
    case 3:
      let garbage = (0..<bytes.count).map { _ in UInt8.random(in: 0...255, using: &random) }
      try put(garbage, &random)
      return "garbage"
    case 4:
      var holed = bytes
      let start = Int.random(in: 0..<bytes.count, using: &random)
      for index in start..<min(bytes.count, start + 40) {
        holed[index] = UInt8.random(in: 0...8, using: &random)
      }
      // A remark of control characters is a remark.
      try put(holed, &random)
      return "garbage from byte \(start) on"
    case 5:
      let start = Int.random(in: 0..<bytes.count, using: &random)
      try put(bytes[..<start] + [UInt8](repeating: 0, count: bytes.count - start), &random)
      return "zeros from byte \(start) on"
    case 6:
      try clear(path)
      return "missing"
    case 7:
      try link(["nowhere", ".", "/dev/null", "plugins.conf"].randomElement(using: &random) ?? ".", as: path)
      return "a link to nothing of use"
    case 8:
      try clear(path)
      if Bool.random(using: &random) { mkdir(path, 0o755) } else { mkfifo(path, 0o600) }
      return "a directory or a pipe"
    default:
      isCut = true
      let end = Int.random(in: 1..<bytes.count, using: &random)
      try put(Array(bytes[..<end]), &random)
      return "cut at byte \(end) of \(bytes.count)"
    }
  }

  private func put(_ bytes: [UInt8], _ random: inout SplitMix64) throws {
    if Bool.random(using: &random) { return try overwrite(path, bytes) }
    var status = stat()
    if lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { try clear(path) }
    try directory.write("plugins.conf", bytes)
  }

  // MARK: Libraries

  /// Makes a library what cannot be loaded.
  mutating func spoilLibrary(_ random: inout SplitMix64) throws -> String {
    let plugin = WildFiles.libraries.keys.sorted().randomElement(using: &random) ?? "app"
    let code = codes[plugin] ?? []
    // Symbols and what debuggers read stand at the end: without those it would be a library still.
    let half = Array(code[..<Int.random(in: 0..<(code.count / 4), using: &random)])
    let file = "lib\(plugin).so"
    spoilt.insert(plugin)
    switch Int.random(in: 0..<7, using: &random) {
    case 0:
      try directory.write(
        file, (0..<5000).map { _ in UInt8.random(in: 0...255, using: &random) }, mode: 0o755)
      return "\(file): garbage"
    case 1:
      try overwrite(library(plugin), half)
      return "\(file): the first \(half.count) bytes, in place"
    case 2:
      try directory.write(file, half, mode: 0o755)
      return "\(file): the first \(half.count) bytes"
    case 3:
      try clear(library(plugin))
      return "\(file): missing"
    case 4:
      try link("nowhere.so", as: library(plugin))
      return "\(file): a link to nothing"
    case 5:
      try directory.write("garbage.so", Array("\(random.next())".utf8), mode: 0o755)
      try link("garbage.so", as: library(plugin))
      return "\(file): a link to garbage"
    default:
      try directory.write(file, code, mode: 0o777)
      guard chmod(library(plugin), 0o777) == 0 else { throw HarnessError.system(call: "chmod", reason: file) }
      return "\(file): writable by others"
    }
  }

  /// Makes a library another that is as good, or as it was.
  mutating func replaceLibrary(_ random: inout SplitMix64) throws -> String {
    let plugin = WildFiles.libraries.keys.sorted().randomElement(using: &random) ?? "app"
    spoilt.remove(plugin)
    let file = "lib\(plugin).so"
    let code = codes[plugin] ?? []
    let other = code + Array("mark \(Int.random(in: 0..<5, using: &random))".utf8)
    switch Int.random(in: 0..<4, using: &random) {
    case 0:
      try directory.write(file, other, mode: 0o755)
      return "\(file): another"
    case 1:
      for bytes in [code, other, code] {
        try directory.write(file, bytes, mode: 0o755)
        usleep(.random(in: 0...150_000, using: &random))
      }
      return "\(file): as it was, another, and back"
    case 2:
      try overwrite(library(plugin), other, pieces: 8, pause: 25_000)
      guard chmod(library(plugin), 0o755) == 0 else { throw HarnessError.system(call: "chmod", reason: file) }
      return "\(file): another, copied slowly"
    default:
      try directory.write("whole-\(file)", other, mode: 0o755)
      try link("whole-\(file)", as: library(plugin))
      return "\(file): a link to another"
    }
  }

  /// Each library as it was at first.
  mutating func restoreLibraries() throws {
    for (plugin, code) in codes { try directory.write("lib\(plugin).so", code, mode: 0o755) }
    spoilt = []
  }

  // MARK: Means

  private func clear(_ path: String) throws {
    guard remove(path) == 0 || errno == ENOENT else {
      throw HarnessError.system(call: "remove", reason: String(cString: strerror(errno)))
    }
  }

  private func link(_ target: String, as path: String) throws {
    let draft = path + ".link"
    try clear(draft)
    var status = stat()
    if lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { try clear(path) }
    guard symlink(target, draft) == 0, rename(draft, path) == 0 else {
      throw HarnessError.system(call: "symlink", reason: String(cString: strerror(errno)))
    }
  }

  /// Writes over a file as it is, through a link to a file; anything else makes room.
  private func overwrite(_ path: String, _ bytes: [UInt8], pieces: Int = 1, pause: UInt32 = 0) throws {
    var status = stat()
    if stat(path, &status) != 0 || status.st_mode & S_IFMT != S_IFREG {
      try clear(path)
      guard
        FileManager.default.createFile(atPath: path, contents: nil, attributes: [.posixPermissions: 0o755])
      else { throw HarnessError.system(call: "open", reason: path) }
    }
    let handle = try open(path)
    try handle.truncate(atOffset: 0)
    let size = bytes.count / pieces + 1
    for start in stride(from: 0, to: bytes.count, by: size) {
      try handle.write(contentsOf: bytes[start..<min(start + size, bytes.count)])
      usleep(pause)
    }
    try handle.close()
  }

  private func open(_ path: String) throws -> FileHandle {
    guard let handle = FileHandle(forWritingAtPath: path) else {
      throw HarnessError.system(call: "open", reason: path)
    }
    return handle
  }
}
