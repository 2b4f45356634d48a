import Glibc
import LinuxShims

/// The table that the library's one symbol returns.
extension Rule {
  static let tableRules: [Rule] = [
    Rule(
      id: "entry", title: "the library exports bulkhead_plugin, which returns one and the same table",
      anchor: "#define BH_ENTRY_SYMBOL", needs: .file
    ) { bench throws(Finding) in
      let entry = try RawTable.entry(bench)
      guard let first = bench.onMain("in bulkhead_plugin", { entry() }) else {
        throw .broken("bulkhead_plugin() returned null")
      }
      guard bench.onMain("in bulkhead_plugin", { entry() }) == first else {
        throw .broken("bulkhead_plugin() returns another table each time")
      }
    },
    Rule(
      id: "table-size", title: "the table is of this major version, and as long as it says",
      anchor: "#define BH_ABI_MAJOR", needs: .file
    ) { bench throws(Finding) in
      let table = try RawTable.table(bench).pointee
      let size = UInt32(MemoryLayout<bh_plugin>.size)
      guard table.size >= size else {
        throw .broken("its size is \(table.size); version \(Version.abi) has \(size) bytes")
      }
      guard table.abi_major == BH_ABI_MAJOR else {
        throw .broken("its abi_major is \(table.abi_major), and not \(BH_ABI_MAJOR)")
      }
      if table.abi_minor == BH_ABI_MINOR, table.size != size {
        throw .broken(
          "its size is \(table.size), and version \(Version.abi), which it claims, has \(size) bytes")
      }
    },
    Rule(
      id: "table-strings",
      title: "name in kebab-case, version by Semantic Versioning 2.0.0, summary of one line",
      anchor: "const char *version; /* Semantic Versioning", needs: .file
    ) { bench throws(Finding) in
      let table = try RawTable.table(bench).pointee
      guard let name = table.name, let version = table.version else {
        throw .broken("its name or version is null")
      }
      let nameText = try RawTable.text(name, "its name")
      guard PluginSection.isKebabCase(nameText) else {
        throw .broken("its name is \(nameText.quotedForMessage), which is not in kebab-case")
      }
      guard nameText.utf8.count <= PluginSection.maximumName else {
        throw .broken("its name is longer than \(PluginSection.maximumName) bytes")
      }
      let versionText = try RawTable.text(version, "its version")
      guard RegularExpression.firstMatch(of: RawTable.semanticVersion, in: versionText) != nil else {
        throw .broken(
          "its version is \(versionText.quotedForMessage), which Semantic Versioning does not allow")
      }
      guard let summary = table.summary else { throw .broken("its summary is null") }
      let summaryText = try RawTable.text(summary, "its summary")
      guard !summaryText.isEmpty, !summaryText.contains(where: \.isNewline) else {
        throw .broken("its summary is empty, or has more than one line")
      }
    },
    Rule(
      id: "table-functions", title: "a function for each capability, and a capability for each function",
      anchor: "BH_HANDLES_REQUEST = 1u << 0", needs: .file
    ) { bench throws(Finding) in
      let table = try RawTable.table(bench).pointee
      guard table.start != nil else { throw .broken("its start is null") }
      func has(_ bit: Int) -> Bool { table.capabilities & UInt32(bit) != 0 }
      let pairs = [
        (BH_HANDLES_REQUEST, table.request != nil, "BH_HANDLES_REQUEST", "request"),
        (BH_HANDLES_RESPONSE, table.response != nil, "BH_HANDLES_RESPONSE", "response"),
        (BH_ROUTES, table.handle != nil, "BH_ROUTES", "handle"),
      ]
      for (bit, isThere, name, function) in pairs where has(Int(bit)) != isThere {
        throw .broken(
          isThere
            ? "it has '\(function)' without \(name)" : "it claims \(name), and its '\(function)' is null")
      }
      for (bit, name) in [(BH_DECIDES_CORS, "BH_DECIDES_CORS"), (BH_AUTHENTICATES, "BH_AUTHENTICATES")]
      where has(Int(bit)) && !has(Int(BH_HANDLES_REQUEST)) {
        throw .broken("it claims \(name), which is of middleware, without BH_HANDLES_REQUEST")
      }
      let known = UInt32(
        BH_HANDLES_REQUEST | BH_HANDLES_RESPONSE | BH_ROUTES | BH_DECIDES_CORS | BH_AUTHENTICATES)
      guard table.capabilities & ~known == 0 else {
        throw .broken(
          "its capabilities have bits that mean nothing: 0x\(String(table.capabilities & ~known, radix: 16))")
      }
      guard table.capabilities != 0 else { throw .broken("it has no capability: it can never be called") }
    },
    Rule(
      id: "table-constant", title: "the table and its schema stay as they are",
      anchor: "What `bulkhead_plugin` returns. [static]"
    ) { bench throws(Finding) in
      let library = try bench.load()
      let before = RawTable.snapshot(library.table)
      try bench.start()
      for target in try bench.targets(of: .ordinary) { try bench.pass(target) }
      bench.stop()
      guard RawTable.snapshot(library.table) == before else {
        throw .broken("its table, or its settings schema, has changed since it was loaded")
      }
    },
    Rule(
      id: "extension",
      title: "null for an extension that it does not have; its self-test passes, and passes again",
      header: "self-test.h", anchor: "bh_status (*run)(void *instance);"
    ) { bench throws(Finding) in
      let plugin = try bench.start()
      guard let table = plugin.library?.table, let function = table.pointee.extension else {
        throw .notApplicable("it has no extension function")
      }
      for id in ["bulkhead.no-such-extension/1", "", BH_SELF_TEST + "0"] {
        let found = bench.onMain("in extension(\(id.quotedForMessage))") { function(table, id) }
        guard found == nil else {
          throw .broken("it returned a table for the extension \(id.quotedForMessage)")
        }
      }
      guard let found = bench.onMain("in extension", { function(table, BH_SELF_TEST) }) else { return }
      let test = found.assumingMemoryBound(to: bh_self_test.self).pointee
      guard test.size >= UInt32(MemoryLayout<bh_self_test>.size), let run = test.run else {
        throw .broken("the table of its self-test has \(test.size) bytes, or no function")
      }
      let status = bench.onMain("in its self-test") { run(plugin.instance) }
      guard status == bh_status(BH_OK) else {
        throw .broken(
          "its self-test passed at start, and the second time returned \(status): \(plugin.takeError() ?? "no reason")"
        )
      }
    },
  ]
}

/// The table as it lies in the library, before any check of the host's.
enum RawTable {
  /// https://semver.org, in POSIX.
  static let semanticVersion =
    "^(0|[1-9][0-9]*)[.](0|[1-9][0-9]*)[.](0|[1-9][0-9]*)"
    + "(-(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)([.](0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
    + "([+][0-9a-zA-Z-]+([.][0-9a-zA-Z-]+)*)?$"

  static func entry(_ bench: RuleBench) throws(Finding) -> bh_entry {
    do throws(PluginFailure) { try LibraryFile.check(bench.job.library) } catch {
      throw .broken("\(error.reason.rawValue): \(error.message)")
    }
    guard let image = bench.onMain("while it was loaded", { shim_dlopen(bench.job.library) }) else {
      throw .broken(dlerror().map { String(cString: $0) } ?? "dlopen failed")
    }
    guard let symbol = dlsym(image, BH_ENTRY_SYMBOL) else {
      throw .broken("it does not export the symbol '\(BH_ENTRY_SYMBOL)'")
    }
    return unsafeBitCast(symbol, to: bh_entry.self)
  }

  static func table(_ bench: RuleBench) throws(Finding) -> UnsafePointer<bh_plugin> {
    let entry = try entry(bench)
    guard let table = bench.onMain("in bulkhead_plugin", { entry() }) else {
      throw .broken("bulkhead_plugin() returned null")
    }
    return table
  }

  static func text(_ string: UnsafePointer<CChar>, _ what: String) throws(Finding) -> String {
    let bytes = UnsafeRawBufferPointer(start: string, count: strlen(string))
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw .broken("\(what) is not valid UTF-8")
    }
    return text
  }

  /// Its bytes, and those of all that it points to.
  static func snapshot(_ table: UnsafePointer<bh_plugin>) -> [UInt8] {
    var bytes = Array(UnsafeRawBufferPointer(start: table, count: MemoryLayout<bh_plugin>.size))
    func add(_ string: UnsafePointer<CChar>?) {
      if let string { bytes += UnsafeRawBufferPointer(start: string, count: strlen(string)) }
      bytes.append(0)
    }
    add(table.pointee.name)
    add(table.pointee.version)
    add(table.pointee.summary)
    for index in 0..<(table.pointee.settings == nil ? 0 : table.pointee.setting_count) {
      guard let entry = table.pointee.settings[index] else { continue }
      bytes += UnsafeRawBufferPointer(start: entry, count: MemoryLayout<bh_setting_schema>.size)
      add(entry.pointee.name)
      add(entry.pointee.default_value)
      add(entry.pointee.help)
      add(entry.pointee.choices)
    }
    return bytes
  }
}
