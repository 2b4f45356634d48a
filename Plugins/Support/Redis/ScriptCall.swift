import Synchronization

/// A Lua script that runs on the server, in one step: by its digest, and with its text if the server does not know it
/// (any more).
public final class ScriptCall: Sendable {
  private let text: String
  /// As the server computes it; the same for every server.
  private let digest = Mutex<String?>(nil)

  public init(text: String) { self.text = text }

  /// Makes the script known to the server, which answers with its digest.
  ///
  /// - Throws: `RedisError`.
  public func load(on connection: RedisConnection) throws(RedisError) {
    let reply = try connection.send(RedisCommand("SCRIPT", "LOAD", text))
    guard let sha = reply.text, sha.utf8.count == 40 else {
      throw .malformed("SCRIPT LOAD answers \(reply)")
    }
    digest.withLock { $0 = sha }
  }

  /// EVALSHA; on NOSCRIPT, EVAL.
  ///
  /// - Parameters:
  ///   - keys: and how many they are.
  /// - Throws: `RedisError`.
  public func run(
    keys: RedisCommand, count: Int, arguments: RedisCommand, on connection: RedisConnection
  ) throws(RedisError) -> RedisReply {
    func command(_ name: String, _ script: String) -> RedisCommand {
      var command = RedisCommand(name, script, String(count))
      command.append(contentsOf: keys)
      command.append(contentsOf: arguments)
      return command
    }
    if let sha = digest.withLock({ $0 }) {
      do throws(RedisError) {
        return try connection.send(command("EVALSHA", sha))
      } catch {
        // The server was restarted or flushed. This run of the text makes it known again.
        guard error.kind == "NOSCRIPT" else { throw error }
      }
    }
    return try connection.send(command("EVAL", text))
  }
}
