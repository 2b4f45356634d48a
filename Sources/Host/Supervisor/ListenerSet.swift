import Glibc

/// The listening sockets of all revisions that live, shared where an address stays.
struct ListenerSet {
  struct Open: Sendable {
    let address: ListenAddress
    let listener: Listener
    /// Of a Unix socket.
    let file: SocketFile?

    /// With the port that the kernel gave, where it was to choose.
    var bound: ListenAddress {
      let port = listener.text.split(separator: ":").last.flatMap { UInt16($0) }
      return port.map { address.withPort($0) } ?? address
    }

    /// False if the socket's file is gone, or another's: nobody finds the way to it any more.
    fileprivate var isReachable: Bool { file?.isInPlace ?? true }

    /// Somebody has shut the socket: another is made in its place, under the same descriptor.
    ///
    /// - Parameter mode: permissions of a Unix socket's file.
    /// - Throws: when the address cannot be had; then nothing has changed.
    func listenAgain(mode: UInt32?) throws(SystemError) {
      try listener.reopen(mode: mode)
      file?.noteMade()
    }
  }

  /// The file that a Unix socket is found by, as stat(2) tells it from others of its name. The supervisor's one thread.
  final class SocketFile: @unchecked Sendable {
    private let path: String
    private var made: (device: UInt64, inode: UInt64)?

    fileprivate init(_ path: String) {
      self.path = path
      noteMade()
    }

    fileprivate func noteMade() { made = found }

    fileprivate var isInPlace: Bool {
      guard let found, let made else { return false }
      return found == made
    }

    private var found: (device: UInt64, inode: UInt64)? {
      var status = stat()
      guard lstat(path, &status) == 0 else { return nil }
      return (UInt64(status.st_dev), UInt64(status.st_ino))
    }
  }

  private var open: [Open] = []

  /// Sockets for these addresses: those of `current` where an address is among them, new ones for the rest.
  ///
  /// - Parameter mode: permissions of Unix sockets' files.
  /// - Throws: the address that cannot be had; then nothing was opened.
  mutating func take(
    _ addresses: [ListenAddress], mode: UInt32?, from current: [Open]
  ) throws(SystemError) -> [Open] {
    var rest = current
    var taken: [Open] = []
    var new: [Open] = []
    for address in addresses {
      do throws(SystemError) {
        if let index = rest.firstIndex(where: {
          ($0.address == address || $0.bound == address) && $0.isReachable
        }) {
          if case .unix(let path) = address, let mode { try checked("chmod") { chmod(path, mode) } }
          taken.append(rest.remove(at: index))
        } else {
          let made = try ListenerSet.make(address, mode: mode)
          new.append(made)
          taken.append(made)
        }
      } catch {
        for made in new { ListenerSet.close(made) }
        throw SystemError("\(address.text): \(reason(for: address))\(error.call)", error.code)
      }
    }
    open += new
    return taken
  }

  /// One of our own may be in the way, which is let go only once the next generation serves.
  private func reason(for address: ListenAddress) -> String {
    guard let other = open.first(where: { $0.listener.isTCP && $0.bound.excludes(address) })?.bound else {
      return ""
    }
    return "cannot be had beside \(other.text), on which this host listens: that change needs a restart: "
  }

  private static func make(_ address: ListenAddress, mode: UInt32?) throws(SystemError) -> Open {
    let listener = try Listener.open(address, mode: mode)
    guard case .unix(let path) = address else { return Open(address: address, listener: listener, file: nil) }
    return Open(address: address, listener: listener, file: SocketFile(path))
  }

  /// Closes those that none of these revisions has. The kernel refuses new connections from then on, also while an old
  /// worker still has the descriptor.
  mutating func keep(only used: [[Open]]) {
    let descriptors = Set(used.joined().map(\.listener.descriptor.raw))
    for made in open where !descriptors.contains(made.listener.descriptor.raw) { ListenerSet.close(made) }
    open.removeAll { !descriptors.contains($0.listener.descriptor.raw) }
  }

  mutating func closeAll() { keep(only: []) }

  private static func close(_ made: Open) {
    // Another socket may have its name by now.
    if case .unix(let path) = made.address, made.isReachable { unlink(path) }
    shutdown(made.listener.descriptor.raw, Int32(SHUT_RDWR))
    made.listener.descriptor.close()
  }
}
