import CPostgreSQL
import Glibc
import SQL
import SystemLibrary

/// A PostgreSQL database, reached through libpq.
public struct PostgreSQLEngine: Engine {
  /// How long a connection may take, in seconds: libpq's `connect_timeout`, unless the URL has one of its own.
  private static let connectSeconds = 3
  /// The most that the URL may say. While a server is away one attempt is made at a time: what that waits for must end.
  private static let mostConnectSeconds = 10

  private let library: LibPQ
  private let url: Secret
  private let password: Secret
  private let connectSeconds: Int
  private let namespace: String
  private let timeoutMilliseconds: Int32

  /// Opens libpq and reads the URL; connects to nothing yet.
  /// - Parameters:
  ///   - url: `postgres://user:password@host:port/database?sslmode=verify-full`, as libpq reads it. What it leaves out
  ///     comes from libpq's environment (`PGPASSWORD`, `PGSSLMODE`, a `.pgpass` file, …).
  ///   - namespace: The schema that the tables are in, made by the first migration: lower-case letters, digits, `_`.
  ///   - timeoutMilliseconds: How long a statement may take, waiting for a lock included.
  /// - Throws: `DatabaseError`: `other` if libpq is missing, `misuse` if the URL is none. Neither shows the URL.
  public init(url: String, namespace: String, timeoutMilliseconds: Int32 = 5000) throws(DatabaseError) {
    precondition(namespace.utf8.allSatisfy { 97...122 ~= $0 || 48...57 ~= $0 || $0 == 95 })
    do throws(SystemLibraryError) {
      library = try LibPQ()
    } catch {
      throw DatabaseError(.other, message: "\(error)")
    }
    self.url = Secret(url)
    self.namespace = namespace
    self.timeoutMilliseconds = timeoutMilliseconds
    let options = try Self.options(in: url, library)
    password = Secret(options["password"] ?? "")
    guard let wanted = Int(options["connect_timeout"] ?? "\(Self.connectSeconds)") else {
      throw Self.unreadable
    }
    // 0 is without end.
    connectSeconds = wanted > 0 ? min(wanted, Self.mostConnectSeconds) : Self.mostConnectSeconds
    // libpq reads it only when it connects, and then it looks like a server that is away.
    let ports = (options["port"] ?? "").split(separator: ",")
    guard ports.allSatisfy({ 1...65535 ~= Int($0) ?? 0 }) else { throw Self.unreadable }
  }

  public var dialect: Dialect { .postgreSQL }
  public var isRemote: Bool { true }

  /// Of a name that stands here twice the last counts: the URL's own words win over the first, and not over the last.
  private var parameters: [(name: String, value: String)] {
    [
      ("application_name", "bulkhead"),
      ("keepalives_idle", "15"), ("keepalives_interval", "5"), ("keepalives_count", "3"),
      ("tcp_user_timeout", "15000"), ("dbname", url.text), ("client_encoding", "UTF8"),
      ("connect_timeout", "\(connectSeconds)"),
    ]
  }

  private func withParameters<R>(_ body: (LibPQ.Texts, LibPQ.Texts) -> R) -> R {
    withCStrings(parameters.map(\.name)) { names in
      withCStrings(parameters.map(\.value)) { values in body(names, values) }
    }
  }

  public func connect() throws(DatabaseError) -> any Driver {
    let begun = ContinuousClock.now
    let connection = withParameters { library.connect($0, $1, 1) }
    guard let connection, library.status(connection) == CONNECTION_OK else {
      var refusal = ConnectionRefusal(
        said: library.errorMessage(connection).map { String(cString: $0) } ?? "out of memory",
        lacksPassword: connection != nil && library.needsPassword(connection) == 1)
      library.finish(connection)
      // A server that does not answer is not asked a second time.
      if ContinuousClock.now - begun < Self.askingLimit { refusal.states = askForStates() }
      throw DatabaseError(
        refusal.kind, code: refusal.state, message: password.removed(from: refusal.said),
        context: "connecting")
    }
    let driver = PostgreSQLDriver(
      connection, library: library, namespace: namespace, timeoutMilliseconds: timeoutMilliseconds,
      password: password)
    try driver.prepareSession()
    return driver
  }

  /// A refusal that took longer is asked about no further.
  private static let askingLimit: Duration = .milliseconds(2500)
  /// How long may be asked.
  private static let askingMilliseconds: Int64 = 1000

  /// The SQLSTATEs with which the servers of the URL refuse a connection. libpq tells them only in a message of the verbose
  /// kind, which can be asked for only of a connection that is made step by step; and such a one does not try a host's next
  /// address when the first does not answer, so that it is no way to connect.
  private func askForStates() -> [String] {
    guard let connection = withParameters({ library.connectStart($0, $1, 1) }) else { return [] }
    defer { library.finish(connection) }
    _ = library.setErrorVerbosity(connection, PQERRORS_VERBOSE)
    let deadline = milliseconds() + Self.askingMilliseconds
    var events = POLLOUT
    while library.status(connection) != CONNECTION_BAD {
      var descriptor = pollfd(fd: library.socket(connection), events: Int16(events), revents: 0)
      let left = deadline - milliseconds()
      guard left > 0 else { return [] }
      let ready = poll(&descriptor, 1, Int32(left))
      if ready < 0, errno == EINTR { continue }
      guard ready > 0 else { return [] }
      switch library.connectPoll(connection) {
      case PGRES_POLLING_READING: events = POLLIN
      case PGRES_POLLING_WRITING: events = POLLOUT
      // It has been let in by now.
      case PGRES_POLLING_OK: return []
      default:
        return ConnectionRefusal.states(
          in: library.errorMessage(connection).map { String(cString: $0) } ?? "")
      }
    }
    return ConnectionRefusal.states(in: library.errorMessage(connection).map { String(cString: $0) } ?? "")
  }

  /// Neither libpq's reason nor the URL is quoted: what it takes for a host or a port may be of the password.
  private static let unreadable = DatabaseError(
    .misuse,
    message: """
      this is no URL that libpq reads: postgres://user:password@host:port/database, with the characters \
      / ? # @ % of the password percent-encoded
      """)

  /// What libpq reads in the URL; the password among it, to keep it out of messages.
  private static func options(in url: String, _ library: LibPQ) throws(DatabaseError) -> [String: String] {
    var reason: UnsafeMutablePointer<CChar>?
    guard isUnambiguous(url), let options = library.parse(url, &reason) else {
      library.freeMemory(reason)
      throw unreadable
    }
    defer { library.freeOptions(options) }
    var values: [String: String] = [:]
    var option = options
    while let keyword = option.pointee.keyword {
      if let value = option.pointee.val { values[String(cString: keyword)] = String(cString: value) }
      option += 1
    }
    return values
  }

  /// Of a password with an `@` or a `/` of its own libpq would take a part for the host, and quote it in messages.
  private static func isUnambiguous(_ url: String) -> Bool {
    guard let scheme = url.firstRange(of: "://") else { return false }
    let authority = url[scheme.upperBound...].prefix { $0 != "/" && $0 != "?" }
    return authority.count { $0 == "@" } <= 1 && !url[authority.endIndex...].contains("@")
  }
}

/// What must not be shown: not even by a description of what holds it.
struct Secret: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  let text: String

  init(_ text: String) { self.text = text }

  var description: String { "[secret]" }
  var debugDescription: String { description }
  var customMirror: Mirror { Mirror(self, children: []) }

  /// A message in one line, without the secret.
  func removed(from message: String) -> String {
    let line = message.split(whereSeparator: \.isNewline).map { String($0.drop(while: \.isWhitespace)) }
      .joined(separator: "; ")
    return text.isEmpty ? line : line.replacing(text, with: "[password]")
  }
}

/// A null-terminated array of C strings, for the time of the call.
func withCStrings<R>(_ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> R) -> R {
  var bytes: [CChar] = []
  var offsets: [Int] = []
  for string in strings {
    offsets.append(bytes.count)
    bytes += string.utf8CString
  }
  return bytes.withUnsafeBufferPointer { bytes in
    let pointers = offsets.map { offset in bytes.baseAddress.map { $0 + offset } } + [nil]
    return pointers.withUnsafeBufferPointer { pointers in
      // Never empty: its last element is the null.
      body(pointers.baseAddress.unsafelyUnwrapped)
    }
  }
}
