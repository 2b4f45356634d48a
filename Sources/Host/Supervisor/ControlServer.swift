import Glibc
import LinuxShims

/// The control socket, `state-dir/control.sock`: where operators talk to the running host.
///
/// A client sends one line, a command with its argument. The answer is a line `ok` or `no`, then text to the end of
/// the connection. Only root and the host's own user are listened to.
final class ControlServer {
  /// A connection that waits for its answer; never used twice.
  struct Client: Sendable, Hashable {
    fileprivate let number: Int
    /// To whom an answer goes nowhere.
    static let nobody = Client(number: 0)
  }

  struct Request: Sendable, Equatable {
    var client: Client
    var line: String
  }

  static let fileName = "control.sock"
  /// Those beyond wait to be accepted.
  private static let clientLimit = 64
  private static let backlog: Int32 = 128
  private static let lineLimit = 4096
  /// For the line to come: a command sends it at once.
  private static let linePatience: UInt64 = 1_000_000_000
  /// For the answer to go.
  private static let patience: UInt64 = 5_000_000_000

  private struct Connection {
    let client: Client
    let descriptor: FileDescriptor
    var input: [UInt8] = []
    var output: [UInt8] = []
    /// Nil while the answer is being made.
    var deadline: UInt64?
    var hasAsked = false
    var hasAnswer = false
  }

  /// Nil if there is no place for it: then nobody comes.
  private var listener: FileDescriptor?
  private let path: String
  /// The socket's name in the file system, as it was made.
  private var stamp: LibraryStore.Stamp?
  private var connections: [Connection] = []
  private var lastNumber = 0

  /// The caller holds the directory's lock: a socket that is there is a dead host's.
  ///
  /// - Parameter stateDirectory: nil if nothing can be written there.
  init(stateDirectory: String?) throws(SystemError) {
    path = "\(stateDirectory ?? "")/\(ControlServer.fileName)"
    guard let stateDirectory else { return }
    listener = try ControlServer.listen(at: path, in: stateDirectory)
    stamp = LibraryStore.Stamp.of(path)
  }

  /// False if the name is gone, or another's.
  var isInPlace: Bool {
    guard let found = LibraryStore.Stamp.of(path), let stamp else { return false }
    return found.inode == stamp.inode && found.device == stamp.device
  }

  /// Under the same name again, where clients find it. Those that are connected stay.
  func listenAnew(in stateDirectory: String) throws(SystemError) {
    let made = try ControlServer.listen(at: path, in: stateDirectory)
    listener?.close()
    listener = made
    stamp = LibraryStore.Stamp.of(path)
  }

  private static func listen(at path: String, in stateDirectory: String) throws(SystemError) -> FileDescriptor
  {
    unlink(path)
    let listener = FileDescriptor(
      raw: try checked("socket") {
        socket(AF_UNIX, ControlServer.type | Int32(SOCK_NONBLOCK.rawValue), 0)
      })
    // Others must not reach it in the moment before chmod(2) could.
    let mask = umask(0o177)
    defer { umask(mask) }
    let raw = listener.raw
    do throws(SystemError) {
      try ControlServer.withAddress(stateDirectory) { address, size throws(SystemError) in
        try checked("bind control.sock") { Glibc.bind(raw, address, size) }
      }
      try checked("listen") { Glibc.listen(raw, ControlServer.backlog) }
    } catch {
      listener.close()
      throw error
    }
    return listener
  }

  static let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)

  /// Calls `body` with the socket's address. Through the directory's descriptor, so that its path may be of any length.
  static func withAddress(
    _ stateDirectory: String, _ body: (UnsafePointer<sockaddr>, socklen_t) throws(SystemError) -> Void
  ) throws(SystemError) {
    let directory = try checked("open \(stateDirectory)") {
      Glibc.open(stateDirectory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    }
    defer { Glibc.close(directory) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) {
      $0.copyBytes(from: "/proc/self/fd/\(directory)/\(ControlServer.fileName)".utf8)
    }
    var failure: SystemError?
    withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        do throws(SystemError) {
          try body(pointer, socklen_t(MemoryLayout<sockaddr_un>.size))
        } catch let error { failure = error }
      }
    }
    if let failure { throw failure }
  }

  /// What to poll(2) for.
  var interests: [pollfd] {
    [pollfd(fd: isFull ? -1 : listener?.raw ?? -1, events: Int16(POLLIN), revents: 0)]
      + connections.map {
        // One that waits for its answer has nothing to say; that it hangs up would be news without end.
        let isWaiting = $0.hasAsked && $0.output.isEmpty
        return pollfd(
          fd: isWaiting ? -1 : $0.descriptor.raw, events: Int16($0.output.isEmpty ? POLLIN : POLLOUT),
          revents: 0)
      }
  }

  var nextDeadline: UInt64? { connections.compactMap(\.deadline).min() }

  /// Accepts, reads and writes what can be now. Gives the requests that have come in whole.
  func serve(at now: UInt64) -> [Request] {
    accept(at: now)
    var requests: [Request] = []
    for index in connections.indices.reversed() {
      if !connections[index].hasAsked, let line = readLine(index) {
        connections[index].hasAsked = true
        connections[index].deadline = nil
        requests.append(Request(client: connections[index].client, line: line))
      }
      flush(index)
      let connection = connections[index]
      let isLate = connection.deadline.map { now >= $0 } ?? false
      if isLate || isOver(connection) { drop(index) }
    }
    return requests.reversed()
  }

  /// Answers, and ends the connection. Nothing if the client is gone.
  func answer(_ client: Client, isYes: Bool, _ text: String) {
    guard let index = connections.firstIndex(where: { $0.client == client }), !connections[index].hasAnswer
    else {
      return
    }
    connections[index].hasAnswer = true
    connections[index].output = Array("\(isYes ? "ok" : "no")\n\(text)".utf8)
    connections[index].deadline = Clock.monotonic() &+ ControlServer.patience
    flush(index)
    if isOver(connections[index]) { drop(index) }
  }

  /// Takes no client any more; the socket's name goes.
  func closeListener() {
    guard let listener else { return }
    unlink(path)
    listener.close()
  }

  /// The last answer there is, best effort. The connections are left to the kernel, which closes them with the process:
  /// to a client the end of the answer is the end of the host.
  func answerLast(_ clients: [Client], _ text: String) {
    let bytes = Array("ok\n\(text)".utf8)
    for connection in connections where clients.contains(connection.client) {
      _ = send(connection.descriptor.raw, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }
  }

  // MARK: Connections

  private var isFull: Bool { connections.count >= ControlServer.clientLimit }

  private func accept(at now: UInt64) {
    while let listener, !isFull {
      let raw = shim_accept(listener.raw, nil, nil)
      guard raw >= 0 else { return }
      let descriptor = FileDescriptor(raw: raw)
      guard ControlServer.isTrusted(descriptor) else {
        descriptor.close()
        continue
      }
      lastNumber += 1
      connections.append(
        Connection(
          client: Client(number: lastNumber), descriptor: descriptor,
          deadline: now &+ ControlServer.linePatience))
    }
  }

  /// SO_PEERCRED, unix(7): the kernel's word for who has connected.
  private static func isTrusted(_ descriptor: FileDescriptor) -> Bool {
    // struct ucred: pid, uid, gid.
    var credentials: (Int32, UInt32, UInt32) = (0, .max, .max)
    var size = socklen_t(MemoryLayout.size(ofValue: credentials))
    let result = getsockopt(descriptor.raw, SOL_SOCKET, SO_PEERCRED, &credentials, &size)
    return result == 0 && (credentials.1 == 0 || credentials.1 == geteuid())
  }

  /// A whole line without its end; nil until there is one.
  private func readLine(_ index: Int) -> String? {
    var chunk = [UInt8](repeating: 0, count: ControlServer.lineLimit)
    while true {
      let count = read(connections[index].descriptor.raw, &chunk, chunk.count)
      if count < 0 && errno == EINTR { continue }
      if count < 0 { return nil }
      connections[index].input += chunk[..<count]
      let input = connections[index].input
      if let end = input.firstIndex(of: 0x0a) { return String(decoding: input[..<end], as: UTF8.self) }
      if count == 0 || input.count >= ControlServer.lineLimit {
        connections[index].hasAnswer = true
        return nil
      }
    }
  }

  private func flush(_ index: Int) {
    while !connections[index].output.isEmpty {
      let output = connections[index].output
      let count = send(connections[index].descriptor.raw, output, output.count, Int32(MSG_NOSIGNAL))
      if count < 0 && errno == EINTR { continue }
      if count < 0 && errno == EAGAIN { return }
      if count < 0 { connections[index].output = [] } else { connections[index].output.removeFirst(count) }
    }
  }

  private func isOver(_ connection: Connection) -> Bool { connection.hasAnswer && connection.output.isEmpty }

  private func drop(_ index: Int) {
    connections[index].descriptor.close()
    connections.remove(at: index)
  }
}
