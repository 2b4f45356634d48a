import Glibc
import LinuxShims

/// A thread of the host's own (pthread_create(3)).
enum Thread {
  /// A megabyte: enough for any handler, and what lies unused costs nothing.
  private static let stackSize = 1 << 20

  private final class Entry {
    let name: String
    let body: () -> Void
    init(_ name: String, _ body: @escaping () -> Void) {
      self.name = name
      self.body = body
    }
  }

  /// Starts a detached thread. False if the system has no room for one.
  static func start(named name: String, _ body: @escaping () -> Void) -> Bool {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    pthread_attr_setstacksize(&attributes, stackSize)
    let entry = Unmanaged.passRetained(Entry(name, body))
    var thread = pthread_t()
    let result = pthread_create(
      &thread, &attributes,
      { argument in
        guard let argument else { return nil }
        let entry = Unmanaged<Entry>.fromOpaque(argument).takeRetainedValue()
        shim_name_thread(entry.name)
        entry.body()
        return nil
      }, entry.toOpaque())
    if result != 0 { entry.release() }
    return result == 0
  }
}
