import CHiredis

// Unsafe memory: reader and buffer live from init to deinit; replies and commands of the library are freed where they are
// made. Invariant of Sendable: whoever holds a connection is its only user; the pool hands it to one at a time.

/// One connection, one command at a time, each with a deadline.
///
/// After any error but `.refused` it is out of step with the server, and must be given up.
public final class RedisConnection: @unchecked Sendable {
  private let library: Hiredis
  private let socket: RedisSocket
  private let reader: OpaquePointer?
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 16)
  /// How long one command may take, from the first byte sent to the last received.
  public let timeout: Duration

  /// Connects, authenticates, and selects the database. Looks names up, so not for event loops.
  ///
  /// - Parameters:
  ///   - connectTimeout: for the connection; each command has `timeout`.
  public init(
    to address: RedisAddress, through library: Hiredis, connectTimeout: Duration, timeout: Duration
  ) throws(RedisError) {
    self.library = library
    self.timeout = timeout
    socket = try RedisSocket(to: address, before: Deadline(after: connectTimeout))
    // Null without memory; the first reply is then found to be malformed.
    reader = library.createReader()
    if !address.password.isEmpty {
      var command = RedisCommand("AUTH")
      if !address.user.isEmpty { command.append(address.user) }
      command.append(address.password)
      _ = try send(command)
    }
    if address.database != 0 { _ = try send(RedisCommand("SELECT", String(address.database))) }
  }

  deinit {
    library.freeReader(reader)
    buffer.deallocate()
  }

  /// Sends a command, and waits for its reply.
  ///
  /// - Throws: `RedisError.refused` for an error reply.
  public func send(_ command: RedisCommand) throws(RedisError) -> RedisReply {
    let deadline = Deadline(after: timeout)
    try write(command, before: deadline)
    while true {
      var raw: UnsafeMutableRawPointer?
      guard reader != nil, library.getReply(reader, &raw) == 0 else {
        throw .malformed("bytes that are no reply")
      }
      if let raw {
        defer { library.freeReply(raw) }
        return try library.value(of: raw)
      }
      try read(before: deadline)
    }
  }

  private func write(_ command: RedisCommand, before deadline: Deadline) throws(RedisError) {
    var text: UnsafeMutablePointer<CChar>?
    let length = command.bytes.withUnsafeBytes { bytes in
      withUnsafeTemporaryAllocation(of: UnsafePointer<CChar>?.self, capacity: command.lengths.count) {
        arguments in
        var offset = 0
        for (index, length) in command.lengths.enumerated() {
          arguments[index] = bytes.baseAddress.map { ($0 + offset).assumingMemoryBound(to: CChar.self) }
          offset += length
        }
        return library.format(&text, Int32(command.lengths.count), arguments.baseAddress, command.lengths)
      }
    }
    guard length > 0, let text else { throw .malformed("no memory for a command") }
    defer { library.freeCommand(text) }
    try socket.send(UnsafeRawBufferPointer(start: text, count: Int(length)), before: deadline)
  }

  private func read(before deadline: Deadline) throws(RedisError) {
    let count = try socket.receive(into: buffer, before: deadline)
    let code = library.feed(reader, buffer.bindMemory(to: CChar.self).baseAddress, count)
    guard code == 0 else { throw .malformed("no memory for a reply") }
  }
}
