import Glibc

/// The listening sockets of all revisions that live, shared where an address stays.
struct ListenerSet {
  struct Open: Sendable {
    let address: ListenAddress
    let listener: Listener
  }

  private var open: [Open] = []

  /// Sockets for these addresses: those of `current` where an address is among them, new ones for the rest.
  ///
  /// - Throws: the address that cannot be had; then nothing was opened.
  mutating func take(_ addresses: [ListenAddress], from current: [Open]) throws(SystemError) -> [Open] {
    var rest = current
    var taken: [Open] = []
    var new: [Open] = []
    for address in addresses {
      if let index = rest.firstIndex(where: { $0.address == address }) {
        taken.append(rest.remove(at: index))
        continue
      }
      do throws(SystemError) {
        let made = Open(address: address, listener: try Listener.open(address))
        new.append(made)
        taken.append(made)
      } catch {
        for made in new { ListenerSet.close(made) }
        throw SystemError("\(address.text): \(error.call)", error.code)
      }
    }
    open += new
    return taken
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
    if case .unix(let path) = made.address { unlink(path) }
    shutdown(made.listener.descriptor.raw, Int32(SHUT_RDWR))
    made.listener.descriptor.close()
  }
}
