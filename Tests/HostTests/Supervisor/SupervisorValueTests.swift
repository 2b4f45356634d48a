import Glibc
import Testing

@testable import bulkhead

@Suite("What supervisor and workers say to each other")
struct SupervisorMessageTests {
  @Test("a manifest is read as it was written")
  func manifest() throws {
    var manifest = Manifest()
    manifest.generation = 12
    manifest.configurationPath = "/etc/bulk head/plugins.conf"
    manifest.listeners = ["127.0.0.1:80", "unix:/run/a b.sock"]
    manifest.plugins = [
      Manifest.PluginEntry(
        name: "auth", stateKey: .max, sha256: "ab", copy: "/var/lib/a b/libA.so",
        rolledBack: RollBack.Change(from: nil, to: "cd")),
      Manifest.PluginEntry(name: "cors", stateKey: 0, sha256: nil, copy: nil, rolledBack: nil),
    ]
    manifest.culprits = [Manifest.Culprit(plugin: "cors", reason: .crashed, message: "two\nlines")]
    manifest.edited = ["cors"]
    manifest.isBare = true
    manifest.bypass = .heavy
    manifest.isDraining = true
    manifest.logLevel = .debug
    manifest.configurationStatus = .rejected("a.conf:1: x\\n\nb.conf:2: y")
    manifest.supervisor = 99
    manifest.configuration = Array("[host]\n\n[cors]\n".utf8)
    let read = try #require(Manifest(manifest.bytes))
    #expect(read.bytes == manifest.bytes)
    #expect(read.plugins == manifest.plugins)
    #expect(read.configurationStatus == manifest.configurationStatus)
    #expect(read.culprits == manifest.culprits)
    #expect(read.listeners == manifest.listeners)
    #expect(read.configuration == manifest.configuration)
    #expect(read.edited == ["cors"])
  }

  @Test(
    "no value of a manifest can end its line, or begin another",
    arguments: ["a\nb", "a\r\nbare", "a\\nb", "a\n\nbare\n", "\r", "\\", "e\u{301} \u{301}x"])
  func escapes(text: String) throws {
    var manifest = Manifest()
    manifest.configurationPath = text
    manifest.listeners = [text, "unix:/\(text)"]
    manifest.plugins = [
      Manifest.PluginEntry(name: "a", stateKey: 1, sha256: nil, copy: text, rolledBack: nil)
    ]
    manifest.culprits = [Manifest.Culprit(plugin: "a", reason: .hung, message: text)]
    let read = try #require(Manifest(manifest.bytes))
    #expect(read.configurationPath == text)
    #expect(read.listeners == manifest.listeners)
    #expect(read.plugins == manifest.plugins)
    #expect(read.culprits == manifest.culprits)
    #expect(!read.isBare)
  }

  @Test(
    "whether the configuration is taken is read as it was written",
    arguments: [
      ConfigurationStatus.active, .rejected("a.conf:1: x\ny \"é\""),
      .held(
        ConfigurationStatus.Held(
          items: [
            ConfigurationStatus.Item(plugin: "auth", reason: "start-failed", message: "no\nluck"),
            ConfigurationStatus.Item(plugin: nil, reason: "dropped", message: "gone"),
          ], rolledBack: ["auth": RollBack.Change(from: nil, to: "ab")])),
    ])
  func status(status: ConfigurationStatus) {
    #expect(ConfigurationStatus(wire: status.wire) == status)
  }

  @Test("what is told of the configuration fits into a packet, and is cut between characters")
  func longStatus() throws {
    let rejected = ConfigurationStatus.rejected(String(repeating: "\u{1}é", count: 200_000))
    #expect(rejected.wire.utf8.count < WorkerMessage.limit)
    let error = try #require(ConfigurationStatus(wire: rejected.wire)?.error)
    #expect(error.utf8.count > ConfigurationStatus.errorLimit - 4)
    #expect(!error.unicodeScalars.contains("\u{FFFD}"))
    let items = (0..<100).map {
      ConfigurationStatus.Item(
        plugin: "p\($0)", reason: "threw", message: String(repeating: "é", count: 100_000))
    }
    #expect(ConfigurationStatus.held(ConfigurationStatus.Held(items: items)).wire.utf8.count < 128 << 10)
  }

  @Test(
    "what is no manifest is refused",
    arguments: ["", "x", "generation one\n\n", "nonsense 1\n\n", "plugin a\n\n"])
  func noManifest(text: String) {
    #expect(Manifest(Array(text.utf8)) == nil)
  }

  @Test("every message of a worker is understood, and nonsense is not")
  func messages() {
    func read(_ text: String) -> WorkerMessage? { WorkerMessage(Array(text.utf8)) }
    #expect(read("ready") == .ready)
    #expect(read("pong 7") == .pong(7))
    #expect(read("pong") == nil, "it answers no beat")
    #expect(read("rejected a:1: x\na:2: y") == .rejected(errors: "a:1: x\na:2: y"))
    #expect(read("passing") == .passing)
    #expect(read("operate bypass all") == .operate(line: "bypass all"))
    #expect(
      read("failed auth load-failed no such\nfile")
        == .failed(plugin: "auth", reason: .loadFailed, message: "no such\nfile"))
    #expect(read("failed auth hung ") == .failed(plugin: "auth", reason: .hung, message: ""))
    #expect(read("taint auth hung") == .taint(plugin: "auth", reason: .hung, isRelapse: false))
    #expect(read("relapse auth crashed") == .taint(plugin: "auth", reason: .crashed, isRelapse: true))
    #expect(read("fault {\"a\": 1}") == .fault(json: Array("{\"a\": 1}".utf8)))
    #expect(
      read("request 0a\nGET / HTTP/1.1\r\n\n")
        == .request(id: "0a", bytes: Array("GET / HTTP/1.1\r\n\n".utf8)))
    #expect(read("answer ok auth is active") == .answer(isYes: true, text: "auth is active"))
    #expect(read("answer no never") == .answer(isYes: false, text: "never"))
    for nonsense in ["", "readyy", "taint auth", "taint auth bored", "answer maybe x", "failed"] {
      #expect(read(nonsense) == nil, "\(nonsense)")
    }
  }

  @Test("every message to a worker is understood, and nonsense is not")
  func orders() {
    let known: [(String, WorkerControl.Message)] = [
      ("serve", .serve), ("drain", .drain), ("adopt", .adopt), ("handover", .handOver), ("status", .status),
      ("ping 3", .ping(3)), ("tampered auth it did so", .tampered("auth", "it did so")),
      ("quarantine auth", .quarantine("auth")), ("release auth", .release("auth")),
      ("bypass heavy", .bypass(.heavy)), ("draining off", .draining(.off)),
      ("log-level debug", .logLevel(.debug)),
      ("history [{\"a\": 1}]", .history("[{\"a\": 1}]")),
      ("config {\"status\": \"active\"}", .configuration(.active)),
      ("config \(ConfigurationStatus.rejected("a: b\nc").wire)", .configuration(.rejected("a: b\nc"))),
      ("retry auth 123", .retry("auth", at: 123)),
    ]
    for (text, message) in known { #expect(WorkerControl.Message(text) == message) }
    for text in [
      "", "config", "config maybe", "retry auth", "bypass", "bypass some", "draining", "log-level loud",
      "serves",
    ] {
      #expect(WorkerControl.Message(text) == nil, "\(text)")
    }
  }

  @Test("a section's identity changes with its values and its library, and with nothing else")
  func identity() throws {
    func plugin(_ text: String) throws -> PluginConfiguration {
      try #require(try ConfigurationFile.parse(text: text, path: "p.conf").get().plugins.first)
    }
    let plain = try plugin("[plugin a]\nlibrary = A\nlimit = 1\n")
    let digest = String(repeating: "a", count: 64)
    #expect(
      plain.identity(sha256: digest)
        == (try plugin("[host]\n# moved\n[plugin a]\n\nlibrary = A\nlimit = 1\n").identity(sha256: digest)))
    #expect(plain.identity(sha256: digest) != plain.identity(sha256: nil))
    for other in ["library = A\nlimit = 2", "library = B\nlimit = 1", "library = A\nlimit = 1\nheavy = true"]
    {
      #expect(try plugin("[plugin a]\n\(other)\n").identity(sha256: digest) != plain.identity(sha256: digest))
    }
  }
}

@Suite("Reading JSON")
struct JSONValueTests {
  @Test("what the writer writes is read back")
  func roundTrip() throws {
    var json = JSONWriter()
    json.object {
      $0.field("text", "a\"b\\c\n\u{1}ä😀")
      $0.field("integer", -12)
      $0.field("number", 1.5e-7)
      $0.field("yes", true)
      $0.null("nothing")
      $0.array("list") { list in
        list.element(1)
        list.object { _ in }
        list.array { _ in }
      }
    }
    let value = try #require(JSONValue(parsing: json.bytes))
    #expect(value["text"].string == "a\"b\\c\n\u{1}ä😀")
    #expect(value["integer"].integer == -12)
    #expect(value["number"].number == 1.5e-7)
    #expect(value["yes"].boolean == true)
    #expect(value["nothing"] == .null && value["absent"] == .null)
    #expect(value["list"].array.count == 3)
    var again = JSONWriter()
    value.write(to: &again)
    #expect(JSONValue(parsing: again.bytes) == value)
  }

  @Test(
    "escapes of all kinds", arguments: [(#""\u00e4\ud83d\ude00\/\b\f""#, "ä😀/\u{8}\u{c}"), (#" "" "#, "")])
  func escapes(text: String, value: String) {
    #expect(JSONValue(parsing: Array(text.utf8)) == .string(value))
  }

  @Test(
    "what is no JSON is refused",
    arguments: [
      "", "{", "[1,]", "{\"a\"}", "{\"a\":1,}", "01", "1.", "+1", ".5", "-", "nul", "\"\\x\"", "\"\\ud800\"",
      "\"a",
      "\"\u{1}\"", "1 2", "{a:1}", "\"\\u+123\"", "\"\\ude00\"",
    ])
  func refused(text: String) {
    #expect(JSONValue(parsing: Array(text.utf8)) == nil)
  }

  @Test("nesting has a limit")
  func nesting() {
    func nested(_ depth: Int) -> [UInt8] {
      Array((String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8)
    }
    #expect(JSONValue(parsing: nested(64)) != nil)
    #expect(JSONValue(parsing: nested(65)) == nil)
    #expect(JSONValue(parsing: nested(100_000)) == nil)
  }
}

@Suite("The ledger and the library store")
struct SupervisorFilesTests {
  private func withDirectory(_ body: (String) throws -> Void) throws {
    let directory = try TemporaryDirectory()
    defer { directory.remove() }
    try body(directory.path)
  }

  private func names(_ path: String) -> [String] { StateDirectory.entries(of: path).sorted() }

  @Test("a fault is read back as it was recorded, with its request beside it")
  func ledger() throws {
    try withDirectory { directory in
      var ledger = try FaultLedger(stateDirectory: directory)
      let fault = Fault(
        id: "00ab", plugin: "auth", version: "1.0.0", sha256: nil, reason: .crashed, message: "a\nb",
        signal: "SIGSEGV", realtime: 1_755_226_245_678_000_000, requestID: "r", request: "GET /",
        generation: 3, backtrace: ["f + 1 in libA.so"])
      var json = JSONWriter()
      json.object { fault.write(to: &$0) }
      try ledger.keep("00ab", json.bytes)
      try ledger.keep(request: Array("GET / HTTP/1.1\r\n\r\n".utf8), of: "00ab")
      #expect(names(ledger.directory) == ["00ab.json", "00ab.request"])
      let read = try #require(FaultLedger.read("00ab", in: ledger.directory).flatMap(Fault.init))
      var again = JSONWriter()
      again.object { read.write(to: &$0) }
      #expect(again.text == json.text)
    }
  }

  @Test("the oldest records go when there are too many, or they are too large; also those of a host before")
  func bounds() throws {
    try withDirectory { directory in
      var ledger = try FaultLedger(stateDirectory: directory, countLimit: 3)
      for number in 1...5 { try ledger.keep("0\(number)", Array("{}".utf8)) }
      #expect(names(ledger.directory) == ["03.json", "04.json", "05.json"])
      var smaller = try FaultLedger(stateDirectory: directory, countLimit: 10, byteLimit: 100)
      try smaller.keep("06", Array(repeating: 0x20, count: 98))
      #expect(names(ledger.directory) == ["06.json"])
    }
  }

  @Test("a flood of records is cut off, second by second")
  func flood() throws {
    try withDirectory { directory in
      var ledger = try FaultLedger(stateDirectory: directory)
      func admitted(at now: UInt64) -> Int { (0..<200).filter { _ in ledger.admits(at: now) }.count }
      #expect(admitted(at: 5_000_000_000) == FaultLedger.recordsPerSecond)
      #expect(admitted(at: 5_999_999_999) == 0)
      #expect(admitted(at: 6_000_000_000) == FaultLedger.recordsPerSecond)
    }
  }

  @Test("an id is no path", arguments: ["", "../x", "a/b", "A", "a.b", String(repeating: "a", count: 65)])
  func ids(id: String) throws {
    try withDirectory { directory in
      var ledger = try FaultLedger(stateDirectory: directory)
      #expect(throws: SystemError.self) { try ledger.keep(id, []) }
      try ledger.keep(request: [], of: id)
      #expect(FaultLedger.read(id, in: ledger.directory) == nil)
      #expect(names(ledger.directory).isEmpty)
    }
  }

  @Test("libraries are copied by content, and a file written over leaves the copy of before")
  func store() throws {
    try withDirectory { directory in
      var store = try LibraryStore(stateDirectory: directory + "/state")
      let path = directory + "/libA.so"
      try StateDirectory.replace(path, with: Array("one".utf8))
      let first = try #require(store.take([path, path + "x"])[path])
      #expect(store.take([path + "x"]).isEmpty, "a file that is not there has no digest")
      let one = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
      #expect(first.sha256 == one)
      #expect(first.copy == "\(directory)/state/libraries/\(one)/libA.so")
      let descriptor = FileDescriptor(raw: open(path, O_WRONLY))
      try descriptor.writeAll(Array("two".utf8))
      descriptor.close()
      let second = try #require(store.take([path])[path])
      #expect(second.sha256 != one)
      #expect(try FileContents.read(try #require(first.copy), limit: 100) == Array("one".utf8))
      #expect(store.keepGood(try #require(first.copy), sha256: one))
      store.keep(only: [], heard: 2)
      #expect(names(store.copies) == [second.sha256], "what was found since may be for a generation to come")
      store.keep(only: [try #require(second.sha256)], heard: 3)
      #expect(names(store.copies) == [second.sha256])
      #expect(store.goodCopy(sha256: one)?.hasSuffix("/good/\(one)/libA.so") == true)
    }
  }

  @Test("where no directory can be made, copies are in memory until they are not kept any more")
  func storeInMemory() throws {
    try withDirectory { directory in
      // Whoever runs this, nothing can be written there.
      var store = try LibraryStore(stateDirectory: "/sys/bulkhead", isWritable: false)
      let path = directory + "/libA.so"
      try StateDirectory.replace(path, with: Array("one".utf8))
      let first = try #require(store.take([path])[path])
      let one = try #require(first.copy)
      #expect(first.sha256 == "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed")
      try StateDirectory.replace(path, with: Array("two".utf8))
      let second = try #require(store.take([path])[path])
      #expect(try FileContents.read(one, limit: 100) == Array("one".utf8))
      #expect(try FileContents.read(try #require(second.copy), limit: 100) == Array("two".utf8))
      let writer = FileDescriptor(raw: open(one, O_WRONLY))
      defer { writer.close() }
      #expect(throws: SystemError.self, "nobody can change a copy") { try writer.writeAll([0x78]) }
      store.keep(only: [try #require(second.sha256)], heard: 2)
      #expect(access(one, R_OK) != 0)
      #expect(store.take([path])[path] == second)
      #expect(!store.keepGood(try #require(second.copy), sha256: try #require(second.sha256)))
    }
  }

  @Test("a good copy that has been tampered with is none")
  func tampered() throws {
    try withDirectory { directory in
      var store = try LibraryStore(stateDirectory: directory + "/state")
      let path = directory + "/libA.so"
      try StateDirectory.replace(path, with: Array("one".utf8))
      let file = try #require(store.take([path])[path])
      let sha256 = try #require(file.sha256)
      #expect(store.keepGood(try #require(file.copy), sha256: sha256))
      try StateDirectory.replace("\(store.good)/\(sha256)/libA.so", with: Array("two".utf8))
      #expect(store.goodCopy(sha256: sha256) == file.copy, "the one in use is as good")
      store.keep(only: [], heard: 1)
      #expect(store.goodCopy(sha256: sha256) == nil)
    }
  }

  @Test("copies in use that somebody has removed are made anew, whatever the files are by then")
  func removed() throws {
    try withDirectory { directory in
      var store = try LibraryStore(stateDirectory: directory + "/state")
      let path = directory + "/libA.so"
      try StateDirectory.replace(path, with: Array("one".utf8))
      let files = store.take([path])
      let copy = try #require(files[path]?.copy)
      try StateDirectory.replace(path, with: Array("two".utf8))
      StateDirectory.remove(directory: FilePaths(ofFile: copy).directory)
      StateDirectory.remove(directory: store.copies)
      #expect(access(copy, F_OK) != 0)
      #expect(store.take([path], asBefore: files) == files)
      #expect(try FileContents.read(copy, limit: 100) == Array("one".utf8))
      store.keep(only: [], heard: 2)
      store.restore()
      #expect(access(copy, F_OK) != 0, "nobody wants it any more")
    }
  }

  @Test("a file that others can write is digested, and not copied")
  func unsafe() throws {
    try withDirectory { directory in
      var store = try LibraryStore(stateDirectory: directory + "/state")
      let path = directory + "/libA.so"
      try StateDirectory.replace(path, with: Array("one".utf8))
      chmod(path, 0o666)
      let file = try #require(store.take([path])[path])
      #expect(file.sha256 != nil && file.copy == nil)
    }
  }

  @Test(
    "the watch notices a rename, a write in place, and a change behind a link; and nothing of other files")
  func watch() throws {
    try withDirectory { directory in
      try StateDirectory.make(directory + "/real")
      let target = directory + "/real/target.conf"
      try StateDirectory.replace(target, with: [])
      symlink(target, directory + "/link.conf")
      let plain = directory + "/plain.conf"
      try StateDirectory.replace(plain, with: [])
      let watch = ConfigurationWatch()
      watch.follow([plain, directory + "/link.conf", directory + "/absent.so"])
      #expect(!watch.takeNotices())
      try StateDirectory.replace(directory + "/other", with: [])
      #expect(!watch.takeNotices())
      #expect(!watch.hasChanged())
      for path in [plain, target, directory + "/absent.so"] {
        try StateDirectory.replace(path, with: Array("x".utf8))
        #expect(watch.hasChanged(), "\(path)")
        #expect(!watch.hasChanged())
        #expect(watch.takeNotices(), "\(path)")
        try StateDirectory.replace(path, with: Array("longer".utf8))
        #expect(watch.takeNotices(), "\(path)")
        #expect(!watch.hasChanged(), "what a notice told of is no news")
      }
      let descriptor = FileDescriptor(raw: open(plain, O_WRONLY | O_APPEND))
      try descriptor.writeAll(Array("more".utf8))
      descriptor.close()
      #expect(watch.takeNotices())
    }
  }

  @Test("a file that changes after it was read is another, though it is followed anew only then")
  func followedLate() throws {
    try withDirectory { directory in
      let path = directory + "/plain.conf"
      try StateDirectory.replace(path, with: Array("read".utf8))
      let watch = ConfigurationWatch()
      watch.follow([path])
      try StateDirectory.replace(path, with: Array("changed since".utf8))
      watch.follow([path])
      #expect(watch.hasChanged())
    }
  }
}
