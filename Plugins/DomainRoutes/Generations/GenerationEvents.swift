import JSONBodies
import PluginAPI
import SQL
import Synchronization

/// The changes of one generation, as server-sent events, until it ends.
///
/// `event: status` with the Generation as its data, whenever it has changed; `event: deleted` if it is deleted. The id
/// of an event is the generation's version.
final class GenerationEvents: StreamSource {
  private static let interval = Duration.milliseconds(200)
  /// Proxies close what is silent for long.
  private static let heartbeat: Int64 = 15_000

  private struct State {
    var version: Int64?
    var wroteAt: Int64
  }

  private let store: Store
  private let mount: String
  private let id: String
  private let user: String
  private let state: Mutex<State>

  init(store: Store, mount: String, id: String, user: String) {
    self.store = store
    self.mount = mount
    self.id = id
    self.user = user
    state = Mutex(State(wroteAt: store.now))
  }

  func pull(_ writer: borrowing StreamWriter) throws -> StreamStep {
    let generation: Generation?
    do {
      generation = try store.read { try GenerationTable(session: $0, mount: mount).find(id, of: user) }
    } catch let error as DatabaseError where error.isTemporary {
      return .later(Self.interval)
    }
    guard let generation else {
      try writer.write("event: deleted\ndata: {\"id\":\"\(id)\"}\n\n")
      return .end
    }
    let known = state.withLock { $0 }
    if known.version != generation.version {
      // Reconnect after a second, were the connection to break.
      let start = known.version == nil ? "retry: 1000\n" : ""
      let data = try JSONText.encode(generation)
      try writer.write("\(start)id: \(generation.version)\nevent: status\ndata: \(data)\n\n")
      state.withLock { $0 = State(version: generation.version, wroteAt: store.now) }
    } else if store.now - known.wroteAt >= Self.heartbeat {
      try writer.write(": still \(generation.status.rawValue)\n\n")
      state.withLock { $0.wroteAt = store.now }
    }
    return generation.status.isEnded ? .end : .later(Self.interval)
  }
}
