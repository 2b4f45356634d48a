import Glibc
import PluginTesting
import Testing

@testable import bulkhead

@Suite("Where a command looks for the running host")
struct HostSearchTests {
  private typealias Place = HostSearch.Place

  /// The places for a configuration of this text in `/…/plugins.conf`, less that directory.
  private func places(
    _ text: String?, environment: [String: String] = [:], recorded: [String] = [],
    stateDirectory: String? = nil
  ) throws -> (places: [Place], error: String?) {
    let directory = try PluginTesting.TemporaryDirectory()
    let path = "\(directory.path)/plugins.conf"
    if let text { try directory.write("plugins.conf", text) }
    let key = HostRecord.key(ofConfiguration: path)
    let living =
      recorded.map { HostRecord.Entry(configuration: key, stateDirectory: $0) }
      + [HostRecord.Entry(configuration: "/other/plugins.conf", stateDirectory: "/other")]
    let search = HostSearch(
      stateDirectory: stateDirectory, configuration: path, environment: environment, living: living)
    let found = search.places.map { place in
      Place(
        directory: place.directory.hasPrefix(directory.path)
          ? String(place.directory.dropFirst(directory.path.utf8.count + 1)) : place.directory,
        source: place.source)
    }
    return (found, search.errors?.errors[0].message)
  }

  @Test("the file says where, or leaves it at the default; then comes what its host has written down")
  func rightFile() throws {
    #expect(try places("[host]\nstate-dir = s").places == [Place(directory: "s", source: .file)])
    #expect(try places("").places == [Place(directory: ".bulkhead", source: .file)])
    #expect(
      try places("[host]\nstate-dir = s", recorded: ["/old"]).places
        == [Place(directory: "s", source: .file), Place(directory: "/old", source: .record)])
  }

  @Test("--state-dir goes before BULKHEAD_STATE_DIR, and either before the file, which is not read then")
  func given() throws {
    let environment = ["BULKHEAD_STATE_DIR": "/e"]
    #expect(
      try places("[hots]", environment: environment, stateDirectory: "/g").places
        == [Place(directory: "/g", source: .given)])
    #expect(
      try places("[hots]", environment: environment, recorded: ["/r"]).places
        == [Place(directory: "/e", source: .given)])
    #expect(
      try places("[host]\nstate-dir = s", environment: ["BULKHEAD_STATE_DIR": ""]).places[0].directory == "s")
  }

  @Test("a file that is broken elsewhere still says where")
  func brokenElsewhere() throws {
    let found = try places("[host]\nstate-dir = s\nthreads = many\n[hots]", recorded: ["/r"])
    #expect(
      found.places.map(\.directory) == ["s", "/r", ".bulkhead"], "\(found)")
    #expect(found.places[0].source == .file)
    #expect(found.error?.contains("'threads'") == true)
  }

  @Test(
    "of a file that does not say where any more, what the host has written down goes first, then what looks like it",
    arguments: [
      "[hots]\nstate-dir = s", "[host\nstate-dir = s", "[host]\nstate-dri = s", "state-dir = s",
      "[host]\nState_Dir = s",
      "[plugin a]\nlibrary = A\nstate-dir = wrong\n[hsot]\nthreads = 1\nstate-dir = \"s\" # here",
      "[hots]\nstate-dri = wrong\nstate-dir = s", "host]\r\nstate-dir = s\r\n",
    ])
  func broken(text: String) throws {
    let found = try places(text, recorded: ["/r"])
    #expect(found.places.prefix(2).map(\.directory) == ["/r", "s"], "\(text): \(found)")
    #expect(found.places.last == Place(directory: ".bulkhead", source: .guess))
    #expect(found.error != nil)
    #expect(try places(text).places.first == Place(directory: "s", source: .guess))
  }

  @Test(
    "a file that is gone, or whose state-dir needs what is not set here, is found by what was written down")
  func gone() throws {
    let gone = try places(nil, recorded: ["/r"])
    #expect(gone.places.map(\.directory) == ["/r", ".bulkhead"])
    #expect(gone.error?.contains("cannot be read") == true)
    #expect(
      try places("[host]\nstate-dir = ${NOWHERE}/s", recorded: ["/r"]).places.map(\.directory) == [
        "/r", ".bulkhead",
      ])
  }

  @Test("the failure names the broken file, its first error, and what was looked at")
  func failure() {
    let search = HostSearch(
      stateDirectory: nil, configuration: "/nonexistent/plugins.conf", environment: [:], living: [])
    let text = search.failure(living: [HostRecord.Entry(configuration: "/c", stateDirectory: "/s")])
    #expect(
      text
        == "no host is found, since the configuration is broken: /nonexistent/plugins.conf: cannot be read: No such file "
        + "or directory; no host is running on the state directory /nonexistent/.bulkhead; give the host's own with "
        + "--state-dir; hosts of this user are running on /s (/c)")
  }

  @Test(
    "the configuration is --config, BULKHEAD_CONFIG, ./plugins.conf, /etc/bulkhead/plugins.conf, in this order"
  )
  func configuration() {
    func path(_ given: String?, _ variable: String?, _ there: Set<String>) -> String {
      ConfigurationLocation.path(
        given: given, environment: variable.map { ["BULKHEAD_CONFIG": $0] } ?? [:], exists: there.contains)
    }
    let both: Set<String> = ["plugins.conf", "/etc/bulkhead/plugins.conf"]
    #expect(path("g", "e", both) == "g")
    #expect(path(nil, "e", both) == "e")
    #expect(path(nil, "", both) == "plugins.conf")
    #expect(path(nil, nil, ["/etc/bulkhead/plugins.conf"]) == "/etc/bulkhead/plugins.conf")
    #expect(path(nil, nil, []) == "plugins.conf")
  }
}

@Suite("What a running host writes down of itself")
struct HostRecordTests {
  private let entry = HostRecord.Entry(configuration: "/srv/plugins.conf", stateDirectory: "/srv/state")

  /// The records that a process finds whose runtime directory this is.
  private func living(_ directory: PluginTesting.TemporaryDirectory) -> [HostRecord.Entry] {
    HostRecord.living(environment: ["XDG_RUNTIME_DIR": directory.path]).filter { $0 == entry }
  }

  @Test("it counts while the host lives, and goes with it")
  func lifetime() throws {
    let directory = try PluginTesting.TemporaryDirectory()
    let record = try #require(HostRecord.write(entry, environment: ["XDG_RUNTIME_DIR": directory.path]))
    #expect(living(directory) == [entry])
    record.remove()
    #expect(living(directory).isEmpty)
  }

  @Test("one that a dead host has left does not count, and the next host takes it away")
  func dead() throws {
    let directory = try PluginTesting.TemporaryDirectory()
    mkdir("\(directory.path)/bulkhead", 0o700)
    let left = try directory.write("bulkhead/1", "config /srv/plugins.conf\nstate-dir /srv/state\n")
    #expect(living(directory).isEmpty)
    let record = try #require(
      HostRecord.write(
        HostRecord.Entry(configuration: "/o", stateDirectory: "/o"),
        environment: ["XDG_RUNTIME_DIR": directory.path]))
    defer { record.remove() }
    #expect(access(left, F_OK) != 0)
  }

  @Test("a directory that others can change is neither written to nor believed")
  func directoryOfOthers() throws {
    let directory = try PluginTesting.TemporaryDirectory()
    let place = "\(directory.path)/bulkhead"
    mkdir(place, 0o700)
    let record = try #require(HostRecord.write(entry, environment: ["XDG_RUNTIME_DIR": directory.path]))
    defer { record.remove() }
    #expect(living(directory) == [entry])
    chmod(place, 0o750)
    #expect(living(directory).isEmpty)
    let link = try PluginTesting.TemporaryDirectory()
    chmod(place, 0o700)
    symlink(place, "\(link.path)/bulkhead")
    #expect(living(link).isEmpty)
  }

  @Test("a configuration is known by its directory without links, and its name, which may be a link")
  func key() throws {
    let directory = try PluginTesting.TemporaryDirectory()
    try directory.write("real/v1.conf", "")
    let real = try #require(realpath("\(directory.path)/real", nil))
    defer { free(real) }
    symlink("v1.conf", "\(directory.path)/real/plugins.conf")
    symlink("real", "\(directory.path)/link")
    let key = HostRecord.key(ofConfiguration: "\(directory.path)/link/plugins.conf")
    #expect(key == String(cString: real) + "/plugins.conf")
    #expect(HostRecord.key(ofConfiguration: "\(directory.path)/real/./plugins.conf") == key)
  }
}
