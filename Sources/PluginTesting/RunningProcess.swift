import Foundation

/// A process that is not the test's own child: seen through /proc.
public enum RunningProcess {
  /// True if it runs: one that has ended and waits to be reaped does not.
  public static func exists(_ pid: pid_t) -> Bool {
    guard let stat = read("/proc/\(pid)/stat"), let end = stat.lastIndex(of: ")") else { return false }
    let state = stat[stat.index(after: end)...].first { $0 != " " }
    return state != "Z" && state != "X"
  }

  /// The resident set in bytes; nil if the process is gone.
  public static func residentBytes(_ pid: pid_t) -> Int? {
    guard let statm = read("/proc/\(pid)/statm") else { return nil }
    let fields = statm.split(separator: " ")
    return fields.count > 1 ? Int(fields[1]).map { $0 * Int(getpagesize()) } : nil
  }

  /// How many descriptors it has open; nil if the process is gone.
  public static func descriptorCount(_ pid: pid_t) -> Int? {
    do { return try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count } catch {
      return nil
    }
  }

  /// Its children, as far as they run. Not by `/proc/PID/task/PID/children`, which leaves out some while others end.
  public static func children(_ pid: pid_t) -> [pid_t] {
    var found: [pid_t] = []
    do {
      for name in try FileManager.default.contentsOfDirectory(atPath: "/proc") {
        guard let other = pid_t(name), let stat = read("/proc/\(name)/stat"),
          let end = stat.lastIndex(of: ")")
        else { continue }
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        if fields.count > 1, pid_t(fields[1]) == pid { found.append(other) }
      }
    } catch {
      return []
    }
    return found
  }

  /// The files that it has mapped, as `/proc/PID/maps` names them; none if it is gone.
  public static func mappedFiles(_ pid: pid_t) -> Set<String> {
    let lines = (read("/proc/\(pid)/maps") ?? "").split(separator: "\n")
    return Set(lines.compactMap { line in line.firstIndex(of: "/").map { String(line[$0...]) } })
  }

  /// Those of the process and its children.
  public static func mappedFiles(ofFamily pid: pid_t) -> Set<String> {
    children(pid).reduce(into: mappedFiles(pid)) { $0.formUnion(mappedFiles($1)) }
  }

  /// To the end: of a file in /proc each read(2) gives a part, and Foundation takes the first for the whole.
  private static func read(_ path: String) -> String? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = Glibc.read(file, &part, part.count)
      if count < 0 { return nil }
      if count == 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes += part[..<count]
    }
  }
}
