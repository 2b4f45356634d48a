import Foundation
import PluginTesting
import Testing

/// The Prometheus text format 0.0.4, read strictly: every line is a comment, or a sample of the family announced above it.
private struct Exposition {
  struct Sample {
    var name: String
    var labels: [String: String]
    var value: Double
  }

  private(set) var types: [String: String] = [:]
  private(set) var samples: [Sample] = []
  private(set) var complaints: [String] = []
  private var family = ""
  private var helped: Set<String> = []
  private var series: Set<String> = []

  init(_ text: String) {
    if !text.hasSuffix("\n") { complaints.append("the last line has no end") }
    for line in text.dropLast().components(separatedBy: "\n") {
      line.hasPrefix("#") ? comment(line) : sample(line)
    }
    for (name, type) in types {
      let own = samples.filter { self.family(of: $0.name) == name }
      if type == "histogram" { histogram(name, own) }
      if type == "counter", own.contains(where: { $0.value < 0 || $0.value.isNaN }) {
        complaints.append("\(name) counts below nought")
      }
    }
  }

  private mutating func comment(_ line: String) {
    let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false).map(String.init)
    guard words.count >= 3, words[0] == "#" else { return complaints.append("an odd comment: \(line)") }
    switch words[1] {
    case "HELP":
      if !helped.insert(words[2]).inserted { complaints.append("a second HELP of \(words[2])") }
      if words.count == 4, !isEscaped(words[3], quotes: false) { complaints.append("not escaped: \(line)") }
    case "TYPE":
      guard words.count == 4, ["counter", "gauge", "histogram"].contains(words[3]) else {
        return complaints.append("no type: \(line)")
      }
      if !helped.contains(words[2]) { complaints.append("\(words[2]) has no HELP before its TYPE") }
      if types.updateValue(words[3], forKey: words[2]) != nil {
        complaints.append("a second TYPE of \(words[2])")
      }
      family = words[2]
    default: break
    }
  }

  private mutating func sample(_ line: String) {
    var rest = line[...]
    let name = String(rest.prefix { $0 != "{" && $0 != " " })
    rest = rest.dropFirst(name.count)
    if !isName(name, first: "_:", others: "_:") { complaints.append("no name: \(line)") }
    var labels: [String: String] = [:]
    if rest.first == "{" {
      rest = rest.dropFirst()
      while rest.first != "}" {
        let label = String(rest.prefix { $0 != "=" })
        rest = rest.dropFirst(label.count)
        guard isName(label, first: "_", others: "_"), rest.hasPrefix("=\"") else {
          return complaints.append("no label: \(line)")
        }
        rest = rest.dropFirst(2)
        var value = ""
        while let character = rest.first, character != "\"" {
          value.append(character)
          rest = rest.dropFirst()
          if character == "\\", let next = rest.first {
            value.append(next)
            rest = rest.dropFirst()
          }
        }
        guard rest.first == "\"", isEscaped(value, quotes: true) else {
          return complaints.append("not escaped: \(line)")
        }
        rest = rest.dropFirst()
        if labels.updateValue(value, forKey: label) != nil { complaints.append("\(label) twice: \(line)") }
        if rest.first == "," {
          rest = rest.dropFirst()
        } else if rest.first != "}" {
          return complaints.append("no end of its labels: \(line)")
        }
      }
      rest = rest.dropFirst()
    }
    let text = rest.dropFirst()
    guard rest.first == " ", let value = ["+Inf": .infinity, "NaN": .nan][text] ?? Double(text) else {
      return complaints.append("no value: \(line)")
    }
    if self.family(of: name) != family { complaints.append("\(name) stands in the family \(family)") }
    let identity = "\(name) \(labels.sorted { $0.key < $1.key })"
    if !series.insert(identity).inserted { complaints.append("a second \(identity)") }
    samples.append(Sample(name: name, labels: labels, value: value))
  }

  /// The family that a sample belongs to, by the types so far.
  private func family(of name: String) -> String? {
    if types[name] != nil, types[name] != "histogram" { return name }
    for suffix in ["_bucket", "_sum", "_count"] where name.hasSuffix(suffix) {
      let stem = String(name.dropLast(suffix.count))
      if types[stem] == "histogram" { return stem }
    }
    return nil
  }

  private mutating func histogram(_ name: String, _ samples: [Sample]) {
    let groups = Dictionary(grouping: samples) { $0.labels.filter { $0.key != "le" } }
    for (labels, group) in groups {
      let buckets = group.filter { $0.name == "\(name)_bucket" }
      let bounds = buckets.map { $0.labels["le"] ?? "" }
      let limits = bounds.map { $0 == "+Inf" ? .infinity : Double($0) ?? .nan }
      if bounds.last != "+Inf" { complaints.append("\(name)\(labels) does not end in +Inf") }
      if !zip(limits, limits.dropFirst()).allSatisfy(<) { complaints.append("\(name)\(labels): \(bounds)") }
      let counts = buckets.map(\.value)
      if !zip(counts, counts.dropFirst()).allSatisfy(<=) { complaints.append("\(name)\(labels) falls") }
      let total = group.filter { $0.name == "\(name)_count" }.map(\.value)
      if total != [counts.last ?? -1] { complaints.append("\(name)\(labels)_count is \(total)") }
      let sums = group.filter { $0.name == "\(name)_sum" }.map(\.value)
      if sums.count != 1 || sums[0] < 0 { complaints.append("\(name)\(labels)_sum is \(sums)") }
    }
  }

  private func isName(_ text: String, first: String, others: String) -> Bool {
    guard let head = text.first, head.isASCII, head.isLetter || first.contains(head) else { return false }
    return text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || others.contains($0)) }
  }

  /// After a backslash only what the format knows.
  private func isEscaped(_ text: String, quotes: Bool) -> Bool {
    var isAfterBackslash = false
    for character in text {
      if isAfterBackslash {
        guard character == "\\" || character == "n" || quotes && character == "\"" else { return false }
        isAfterBackslash = false
      } else {
        isAfterBackslash = character == "\\"
      }
    }
    return !isAfterBackslash
  }
}

@Suite("The format of /metrics")
struct MetricsFormatTests {
  @Test("with every shipped plugin at work it is what Prometheus reads, and counts what was sent")
  func shipped() throws {
    let host = try ShippedConfiguration.start()
    for _ in 0..<7 { #expect(try host.get("/api/v1/credits/_ping").status == 200) }
    #expect(try host.get("/api/v1/credits/balance").status == 401)
    #expect(try host.get("/nowhere").status == 404)
    let answer = try host.get("/metrics")
    #expect(answer.headers.first { $0.0 == "Content-Type" }?.1.hasPrefix("text/plain; version=0.0.4") == true)
    let exposition = Exposition(answer.text)
    #expect(exposition.complaints.isEmpty, "\(exposition.complaints)")
    #expect(exposition.types.values.contains("histogram"))
    let pings = exposition.samples.first {
      $0.name == "bulkhead_route_duration_seconds_count" && $0.labels["route"] == "/api/v1/credits/_ping"
        && $0.labels["method"] == "GET"
    }
    // The probes of the configuration ask it too.
    #expect((pings?.value ?? 0) >= 7)
    for plugin in ["cors", "auth", "ratelimit", "domain"] {
      let states = exposition.samples.filter {
        $0.name == "bulkhead_plugin_state" && $0.labels["plugin"] == plugin
      }
      #expect(states.filter { $0.value == 1 }.map { $0.labels["state"] } == ["active"])
    }
  }

  @Test("with a plugin out, and one bypassed, it is too")
  func broken() throws {
    let host = try HostProcess(
      HostSettings(
        plugins: Section.fault("bad", mount: "/bad", "recover = never")
          + Section.plugin("gone", library: "Nowhere", [])))
    #expect(try host.get("/bad/echo", headers: [("X-Fault", "throw")]).status == 503)
    try host.waitFor(plugin: "bad", state: "quarantined")
    #expect(try host.command("bypass", "all").status == .exited(0))
    let exposition = Exposition(try host.get("/metrics").text)
    #expect(exposition.complaints.isEmpty, "\(exposition.complaints)")
    let out = exposition.samples.filter {
      $0.name == "bulkhead_plugin_state" && $0.value == 1
    }
    #expect(Set(out.compactMap { $0.labels["state"] }) == ["quarantined", "failed"])
  }

  @Test(
    "the check finds what is wrong",
    arguments: [
      ("# HELP a b\n# TYPE a counter\na 1", "no end"), ("a 1\n", "stands in the family"),
      ("# TYPE a counter\na 1\n", "no HELP"), ("# HELP a b\n# TYPE a counter\na -1\n", "below nought"),
      ("# HELP a b\n# TYPE a gauge\na 1\na 2\n", "a second"),
      ("# HELP a b\n# TYPE a gauge\na{b=\"\\x\"} 1\n", "not escaped"),
      ("# HELP a b\\c\n# TYPE a gauge\na 1\n", "not escaped"),
      ("# HELP a b\n# TYPE a gauge\na{1=\"\"} 1\n", "no label"),
      ("# HELP a b\n# TYPE a gauge\na one\n", "no value"), ("# HELP a b\n# TYPE a thing\n", "no type"),
      (
        "# HELP h b\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
        "falls"
      ),
      ("# HELP h b\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_sum 1\nh_count 2\n", "+Inf"),
      ("# HELP h b\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 3\n", "_count"),
    ])
  func judges(text: String, says: String) {
    #expect(Exposition(text).complaints.contains { $0.contains(says) }, "\(Exposition(text).complaints)")
  }
}
