import Glibc
import LinuxShims

/// What files a process has mapped, and where (proc_pid_maps(5)). The loader cannot be asked that: the thread that crashed or
/// hangs may hold its lock, as it does in a constructor.
struct MemoryMap {
  private struct Range {
    var start: UInt64
    var end: UInt64
    var offset: UInt64
    var inode: UInt64
    var device: UInt64
    var path: String
  }

  /// A file that has no name in the file system, or not the one that it is known by.
  private struct Copy {
    var path: String
    var original: String
    var inode: UInt64
    var device: UInt64
  }

  private var ranges: [Range] = []
  private var copies: [Copy] = []

  /// - Parameters:
  ///   - process: `self`, or a process's number.
  ///   - copies: of libraries, and what each is a copy of.
  /// - Throws: if the process is gone, or is hidden from this one.
  init(of process: String, copies: [(path: String, original: String)]) throws(FileContents.Failure) {
    let bytes = try FileContents.read("/proc/\(process)/maps", limit: 4 << 20)
    for line in bytes.split(separator: 0x0a) {
      let words = line.split(separator: 0x20, maxSplits: 5).map { String(decoding: $0, as: UTF8.self) }
      guard words.count == 6, words[1].contains("x") else { continue }
      let ends = words[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
      let numbers = words[3].split(separator: ":").compactMap { UInt32($0, radix: 16) }
      guard ends.count == 2, numbers.count == 2, let offset = UInt64(words[2], radix: 16),
        let inode = UInt64(words[4])
      else { continue }
      ranges.append(
        Range(
          start: ends[0], end: ends[1], offset: offset, inode: inode,
          device: shim_device(numbers[0], numbers[1]),
          path: String(words[5].drop { $0 == " " })))
    }
    // The host's own file may have been replaced by a newer one.
    for copy in copies + [(path: "/proc/\(process)/exe", original: "bulkhead")] {
      var status = stat()
      guard stat(copy.path, &status) == 0 else { continue }
      self.copies.append(
        Copy(
          path: copy.path, original: copy.original, inode: UInt64(status.st_ino),
          device: UInt64(status.st_dev)))
    }
  }

  /// Nil for what is of no file.
  func place(of address: UInt64) -> Backtrace.Place? {
    guard let range = ranges.first(where: { address >= $0.start && address < $0.end }), range.inode != 0
    else { return nil }
    // A file system of layers shows other numbers here than stat(2) does, and the same name.
    let copy = copies.first {
      $0.path == range.path || $0.inode == range.inode && $0.device == range.device
    }
    return Backtrace.Place(
      path: copy?.path ?? range.path, name: copy?.original ?? range.path,
      offset: address - range.start + range.offset)
  }
}
