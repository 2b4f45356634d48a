import Testing

@testable import bulkhead

/// Reads the Prometheus text format, version 0.0.4, and complains of what Prometheus would refuse.
struct Exposition {
  var types: [String: String] = [:]
  var samples: [(name: String, labels: String, value: Double)] = []
  var complaints: [String] = []

  init(_ text: String) {
    guard text.hasSuffix("\n") else {
      complaints = ["the last line has no end"]
      return
    }
    var series: Set<String> = []
    var closed: Set<String> = []
    var current = ""
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false).map(String.init)
      if words[0] == "#" {
        guard words.count >= 3, words[1] == "TYPE" || words[1] == "HELP" else { continue }
        if words[1] == "TYPE" {
          if types.updateValue(words[3], forKey: words[2]) != nil {
            complaints.append("second TYPE of \(words[2])")
          }
        }
        if words[2] != current {
          if !closed.insert(words[2]).inserted { complaints.append("\(words[2]) in two places") }
          current = words[2]
        }
        continue
      }
      guard let space = line.lastIndex(of: " "), let value = Double(line[line.index(after: space)...]) else {
        complaints.append("no sample: \(line)")
        continue
      }
      let identity = String(line[..<space])
      if !series.insert(identity).inserted { complaints.append("second sample of \(identity)") }
      let name = String(identity.prefix { $0 != "{" })
      let family = ["_bucket", "_sum", "_count"].map {
        name.hasSuffix($0) ? String(name.dropLast($0.count)) : name
      }
      if ![name].appending(family).contains(current) { complaints.append("\(name) outside of its family") }
      samples.append((name, String(identity.dropFirst(name.count)), value))
    }
    checkHistograms()
  }

  private mutating func checkHistograms() {
    for (name, type) in types where type == "histogram" {
      var last: [String: Double] = [:]
      for sample in samples where sample.name == "\(name)_bucket" {
        guard let start = sample.labels.range(ofText: "le=\"") else {
          complaints.append("\(name)_bucket without le")
          continue
        }
        let others = String(sample.labels[..<start.lowerBound])
        if sample.value < last[others] ?? 0 { complaints.append("\(name) falls") }
        last[others] = sample.value
        if sample.labels.contains("+Inf") {
          let count = samples.first {
            $0.name == "\(name)_count" && others.dropLast() == $0.labels.dropLast()
              || $0.name == "\(name)_count" && others == "{" && $0.labels.isEmpty
          }
          if count?.value != sample.value {
            complaints.append("\(name)_count is not its last bucket: \(others)")
          }
        }
      }
    }
  }
}

extension Array {
  fileprivate func appending(_ more: [Element]) -> [Element] { self + more }
}

extension String {
  fileprivate func range(ofText text: String) -> Range<Index>? {
    indices.first { self[$0...].hasPrefix(text) }.map { $0..<index($0, offsetBy: text.count) }
  }
}

@Suite("Metrics: the text")
struct MetricsTextTests {
  @Test("a host with plugins writes what Prometheus takes")
  func whole() throws {
    let host = try TestHost(
      ActorPlugin.section("mid", "Actor", "mount = /mid")
        + ActorPlugin.section("app", "ActorRouter", "mount = /app"))
    for _ in 0..<5 { _ = try host.send("GET", "/app/open") }
    let metrics = host.plugin("mid").metrics
    metrics.metric(.counter, "seen_total", help: "line\r\nand \\ more\nlines")?.add(2)
    metrics.metric(.gauge, "level", help: "")?.set(-1.5e-9)
    metrics.metric(.histogram, "time_seconds", help: "Time.")?.add(0.004)
    let answer = try host.send("GET", "/metrics")
    #expect(answer["Content-Type"]?.hasPrefix("text/plain; version=0.0.4") == true)
    let exposition = Exposition(answer.text)
    #expect(exposition.complaints.isEmpty)
    func value(_ name: String) -> Double? { exposition.samples.first { $0.name == name }?.value }
    #expect(value("plugin_mid_seen_total") == 2)
    #expect(value("plugin_mid_level") == -1.5e-9)
    #expect(value("plugin_mid_time_seconds_count") == 1)
    #expect(exposition.types["plugin_mid_time_seconds"] == "histogram")
    #expect(
      exposition.samples.contains {
        $0.name == "bulkhead_responses_total" && $0.labels.contains("2xx") && $0.value >= 5
      })
    #expect(
      exposition.samples.contains {
        $0.name == "bulkhead_route_duration_seconds_count" && $0.labels.contains("/app/open") && $0.value == 5
      })
  }

  @Test("a plugin's metric that would spoil another's is not made")
  func collisions() {
    let metrics = PluginMetrics()
    #expect(metrics.metric(.histogram, "time", help: "") != nil)
    for name in ["time_count", "time_sum", "time_bucket"] {
      #expect(metrics.metric(.counter, name, help: "") == nil)
    }
    #expect(metrics.metric(.counter, "jobs_count", help: "") != nil)
    #expect(metrics.metric(.histogram, "jobs", help: "") == nil)
    #expect(metrics.metric(.gauge, "time", help: "") == nil)
    #expect(
      metrics.metric(.histogram, "time", help: "") === metrics.metric(.histogram, "time", help: "other"))
  }

  @Test("two plugins whose names run together do not spoil the whole page")
  func namesRunTogether() throws {
    let host = try TestHost(
      ActorPlugin.section("a", "Actor", "mount = /a")
        + ActorPlugin.section("a-b", "ActorRouter", "mount = /b"))
    host.plugin("a").metrics.metric(.counter, "b_c", help: "")?.add(1)
    host.plugin("a-b").metrics.metric(.counter, "c", help: "")?.add(1)
    #expect(Exposition(try host.send("GET", "/metrics").text).complaints.isEmpty)
  }

  @Test("labels and help are escaped, whatever ends their lines")
  func escapes() {
    var writer = MetricsWriter()
    writer.family("a", "counter", "x\r\ny\nz\\")
    writer.sample("a", [("l", "q\"\\\r\n\n")], "1")
    #expect(
      writer.output
        == "# HELP a x\\r\\ny\\nz\\\\\n# TYPE a counter\na{l=\"q\\\"\\\\\\r\\n\\n\"} 1\n".replacingCR())
  }

  @Test(
    "names of metrics",
    arguments: [
      ("a", true), ("a_b1", true), ("", false), ("1a", false), ("A", false), ("a-b", false), ("_a", false),
    ])
  func names(_ name: String, _ isWellFormed: Bool) {
    #expect(PluginMetric.isWellFormed(name) == isWellFormed)
  }
}

extension String {
  /// A carriage return alone is data to Prometheus: only what ends a line is escaped.
  fileprivate func replacingCR() -> String {
    split(separator: "\\r", omittingEmptySubsequences: false).joined(separator: "\r")
  }
}
