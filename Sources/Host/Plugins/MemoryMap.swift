import Glibc

/// What files a process has mapped, and where (proc_pid_maps(5)): for a process whose loader cannot be asked, since the thread
/// that crashed holds its lock.
struct MemoryMap {
  private struct Range {
    var start: UInt64
    var end: UInt64
    var offset: UInt64
    var inode: UInt64
    var path: String
  }

  private var ranges: [Range] = []
  /// Copies, which may have no name in the file system, by inode: where each can be read, and what it is a copy of.
  private var copies: [UInt64: (path: String, original: String)] = [:]

  /// - Parameter copies: of libraries, and what each is a copy of.
  /// - Throws: if the process is gone, or is hidden from this one.
  init(of process: pid_t, copies: [(path: String, original: String)]) throws(FileContents.Failure) {
    let bytes = try FileContents.read("/proc/\(process)/maps", limit: 4 << 20)
    for line in bytes.split(separator: 0x0a) {
      let words = line.split(separator: 0x20, maxSplits: 5).map { String(decoding: $0, as: UTF8.self) }
      guard words.count == 6, words[1].contains("x") else { continue }
      let ends = words[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
      guard ends.count == 2, let offset = UInt64(words[2], radix: 16), let inode = UInt64(words[4]) else {
        continue
      }
      let path = words[5].drop { $0 == " " }
      ranges.append(Range(start: ends[0], end: ends[1], offset: offset, inode: inode, path: String(path)))
    }
    for copy in copies {
      var status = stat()
      if stat(copy.path, &status) == 0 { self.copies[UInt64(status.st_ino)] = copy }
    }
  }

  func place(of address: UInt64) -> Backtrace.Place? {
    guard let range = ranges.first(where: { address >= $0.start && address < $0.end }), range.inode != 0
    else { return nil }
    let offset = address - range.start + range.offset
    let path = copies[range.inode]?.path ?? range.path
    let name = copies[range.inode]?.original ?? range.path
    let found = ImageFile(path)?.address(ofOffset: offset)
    return Backtrace.Place(path: path, name: name, address: found ?? offset)
  }
}
