import Glibc
import LinuxShims

/// Notices that the configuration, or a library that it names, may have changed (inotify(7)).
///
/// What is watched are directories: a file that is renamed over another is another file. Links are watched at both
/// ends. Notices are hints; what has changed is seen by reading. Where no notice comes (network file systems, a
/// directory that is itself replaced, a user who has no inotify instance or watch left) `hasChanged` finds out by looking.
final class ConfigurationWatch {
  /// Nil if no inotify instance is to be had.
  let descriptor: FileDescriptor?
  private var names: [Int32: Set<String>] = [:]
  private var files: [String] = []
  /// Names of files that were written to and not closed since, by watch.
  private var open: [Int32: Set<String>] = [:]
  private var stamps: [String: LibraryStore.Stamp] = [:]
  private var hasSaidThatItLooks = false

  private static let events = UInt32(
    IN_CLOSE_WRITE | IN_MODIFY | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB)

  init() {
    do throws(SystemError) {
      descriptor = FileDescriptor(
        raw: try checked("inotify_init1") { inotify_init1(Int32(IN_CLOEXEC | IN_NONBLOCK)) })
    } catch {
      descriptor = nil
      sayThatItLooks("\(error)", limit: "fs.inotify.max_user_instances")
    }
  }

  /// Instances and watches are counted per user: another program of the host's user may have taken them all.
  private func sayThatItLooks(_ reason: String, limit: String) {
    guard !hasSaidThatItLooks else { return }
    hasSaidThatItLooks = true
    Log.shared.write(
      .warning,
      "changes of the configuration and the libraries are noticed up to two seconds late: \(reason); "
        + "see the sysctl \(limit)")
  }

  /// Watches these files, and no others, from now on.
  func follow(_ paths: [String]) {
    // What a file was when it was last looked at stays: it may have been read since, and changed after that.
    let followed = Set(files)
    stamps = stamps.filter { paths.contains($0.key) }
    for path in paths where !followed.contains(path) { stamps[path] = LibraryStore.Stamp.of(path) }
    files = paths
    var wanted: [String: Set<String>] = [:]
    for path in paths {
      add(path, to: &wanted)
      if let target = realpath(path, nil) {
        add(String(cString: target), to: &wanted)
        free(target)
      }
    }
    if let descriptor { watch(wanted, on: descriptor) }
  }

  private func watch(_ wanted: [String: Set<String>], on descriptor: FileDescriptor) {
    var next: [Int32: Set<String>] = [:]
    for (directory, files) in wanted {
      // The same directory by two names is one watch.
      let watch = inotify_add_watch(descriptor.raw, directory, ConfigurationWatch.events)
      if watch >= 0 {
        next[watch, default: []].formUnion(files)
      } else if errno == ENOSPC || errno == ENOMEM {
        sayThatItLooks(
          "inotify_add_watch: \(String(cString: strerror(errno)))", limit: "fs.inotify.max_user_watches")
      }
    }
    for watch in names.keys where next[watch] == nil { inotify_rm_watch(descriptor.raw, watch) }
    names = next
    open = open.filter { next[$0.key] != nil }
  }

  private func add(_ path: String, to wanted: inout [String: Set<String>]) {
    let parts = FilePaths(ofFile: path)
    let name = path.split(separator: "/").last.map(String.init) ?? path
    wanted[parts.directory.isEmpty ? "." : parts.directory, default: []].insert(name)
  }

  /// Takes all notices. True if one was of a file that is followed, or some were lost.
  func takeNotices() -> Bool {
    guard let descriptor else { return false }
    var isOfOurs = false
    withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 8) { buffer in
      while true {
        let count = read(descriptor.raw, buffer.baseAddress, buffer.count)
        guard count > 0 else { return }
        var at = 0
        while at + MemoryLayout<inotify_event>.size <= count {
          let event = buffer.loadUnaligned(fromByteOffset: at, as: inotify_event.self)
          let start = at + MemoryLayout<inotify_event>.size
          let name = String(
            decoding: buffer[start..<(start + Int(event.len))].prefix { $0 != 0 }, as: UTF8.self)
          noteWriter(event, name)
          if event.mask & UInt32(IN_Q_OVERFLOW | IN_IGNORED) != 0 || names[event.wd]?.contains(name) == true {
            isOfOurs = true
          }
          at = start + Int(event.len)
        }
      }
    }
    if isOfOurs { stamps = current() }
    return isOfOurs
  }

  private func noteWriter(_ event: inotify_event, _ name: String) {
    if event.mask & UInt32(IN_Q_OVERFLOW) != 0 {
      open = [:]
    } else if event.mask & UInt32(IN_MODIFY) != 0 {
      open[event.wd, default: []].insert(name)
    } else if event.mask & UInt32(IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE) != 0 {
      open[event.wd]?.remove(name)
    }
  }

  /// Those that are followed, and that were written to and not closed since, as far as notices tell.
  var openFiles: Set<String> {
    let names = open.values.reduce(into: Set<String>()) { $0.formUnion($1) }
    guard !names.isEmpty else { return [] }
    return Set(
      files.filter { path in names.contains(path.split(separator: "/").last.map(String.init) ?? path) })
  }

  /// Looks at the files. True if one is another than when this last said so.
  func hasChanged() -> Bool {
    let now = current()
    if now == stamps { return false }
    stamps = now
    follow(files)
    return true
  }

  private func current() -> [String: LibraryStore.Stamp] {
    var found: [String: LibraryStore.Stamp] = [:]
    for path in files { found[path] = LibraryStore.Stamp.of(path) }
    return found
  }
}
