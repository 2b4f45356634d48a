import Glibc

/// A command's talk with the running host, over its control socket (`ControlServer`).
enum ControlClient {
  struct Answer: Sendable, Equatable {
    var isYes: Bool
    /// With the end of its last line.
    var text: String
  }

  enum Failure: Error, CustomStringConvertible {
    case notRunning(stateDirectory: String)
    case system(SystemError)
    /// The host ended, or would not listen to us.
    case noAnswer
    /// No answer, or not the end of it, within the time given.
    case late(Duration)

    var description: String {
      switch self {
      case .notRunning(let directory): "no host is running on the state directory \(directory)"
      case .system(let error): "\(error)"
      case .noAnswer: "the host gave no answer: it has ended, or does not take commands from this user"
      case .late(let limit): "the host gave no answer within \(ValueText.render(limit))"
      }
    }
  }

  /// Sends a command line, and waits for the end of the answer.
  ///
  /// - Parameter limit: how long to wait for it; nil for as long as it takes.
  static func ask(
    _ line: String, stateDirectory: String, within limit: Duration? = nil
  ) throws(Failure) -> Answer {
    let socket: FileDescriptor
    do throws(SystemError) {
      socket = FileDescriptor(raw: try checked("socket") { Glibc.socket(AF_UNIX, ControlServer.type, 0) })
    } catch { throw .system(error) }
    defer { socket.close() }
    do throws(SystemError) {
      try ControlServer.withAddress(stateDirectory) { address, size throws(SystemError) in
        try checked("connect") { connect(socket.raw, address, size) }
      }
    } catch {
      let isNobody = [ENOENT, ECONNREFUSED, ENOTDIR].contains(error.code)
      throw isNobody ? .notRunning(stateDirectory: stateDirectory) : .system(error)
    }
    do throws(SystemError) { try socket.writeAll(Array("\(line)\n".utf8)) } catch { throw .system(error) }
    return try readAnswer(socket, within: limit)
  }

  private static func readAnswer(
    _ socket: FileDescriptor, within limit: Duration?
  ) throws(Failure) -> Answer {
    let deadline = limit.map { Clock.monotonic() &+ $0.nanoseconds }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      if let limit, let deadline {
        let now = Clock.monotonic()
        guard now < deadline else { throw .late(limit) }
        var interest = pollfd(fd: socket.raw, events: Int16(POLLIN), revents: 0)
        guard poll(&interest, 1, Int32(clamping: (deadline - now) / 1_000_000 + 1)) > 0 else { continue }
      }
      let count = read(socket.raw, &chunk, chunk.count)
      if count < 0 && errno == EINTR { continue }
      if count <= 0 { break }
      bytes += chunk[..<count]
    }
    let verdict = bytes.prefix { $0 != 0x0a }
    guard verdict.elementsEqual("ok".utf8) || verdict.elementsEqual("no".utf8) else { throw .noAnswer }
    return Answer(
      isYes: verdict.elementsEqual("ok".utf8),
      text: String(decoding: bytes.dropFirst(verdict.count + 1), as: UTF8.self))
  }
}
