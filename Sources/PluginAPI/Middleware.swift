/// The phases of a request that a middleware takes part in.
public struct Phases: OptionSet, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Before the handler, in the order of `plugins.conf`.
  public static let request = Phases(rawValue: 1)
  /// After the handler, in reverse order.
  public static let response = Phases(rawValue: 2)
}

/// A plugin that sees requests before their handler runs, and responses before they are sent.
///
/// Both functions are called on event loops, several at a time, and must not block. A thrown ``Problem`` refuses the
/// request and is no fault; any other error is one, and quarantines the plugin.
public protocol Middleware: Plugin {
  /// The request phase.
  ///
  /// Header fields set by `request.response.setHeader` stay on whatever response is sent at last.
  ///
  /// - Returns: `nil` to go on; a response ends the phase, and no later middleware and no handler runs.
  func request(_ request: borrowing Request) throws -> Response?

  /// The response phase, for each request whose request phase was entered, also if another plugin answered or failed.
  /// Edits `request.response`.
  func response(_ request: borrowing Request) throws

  /// Which of the two are called. Only `.request`, unless stated.
  static var phases: Phases { get }

  /// Whether this plugin replaces the host's CORS policy: then it sees preflights too, and calls
  /// ``ResponseEditor/decideCORS()`` on each response that it has decided. `false`, unless stated.
  ///
  /// If the plugin's section has none of the keys of `[cors]` (`origins`, `methods`, `headers`, `expose`, `credentials`,
  /// `max-age`, `private-network`), the host hands it those that stand in `[cors]` and that its schema declares, as though
  /// they stood in its own section.
  static var decidesCORS: Bool { get }

  /// Whether this plugin sets the identity: then a protected route answers 503 while it is out, and not 401. `false`,
  /// unless stated.
  static var authenticates: Bool { get }
}

extension Middleware {
  public func request(_ request: borrowing Request) throws -> Response? { nil }
  public func response(_ request: borrowing Request) throws {}
  public static var phases: Phases { [.request] }
  public static var decidesCORS: Bool { false }
  public static var authenticates: Bool { false }
}
