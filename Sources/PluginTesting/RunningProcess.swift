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

  private static func read(_ path: String) -> String? {
    FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
  }
}
