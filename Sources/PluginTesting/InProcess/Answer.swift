import PluginAPI

/// What came of one request to an ``InProcessHost``.
public struct Answer: Sendable {
  public var status: Int
  /// In the order in which they were set, names as set.
  public var headers: [(name: String, value: String)]
  public var body: [UInt8]
  /// The identity that was given or set.
  public var identity: Identity?
  /// What plugins have left for one another.
  public var attributes: [String: [UInt8]]
  /// Whether the plugin has decided CORS for this response.
  public var decidedCORS: Bool
  /// Whether the plugin let the request go on to the handler, its own or the one downstream.
  public var reachedHandler: Bool

  public init(status: Int = 200, headers: [(name: String, value: String)] = [], body: String = "") {
    self.status = status
    self.headers = headers
    self.body = [UInt8](body.utf8)
    self.identity = nil
    self.attributes = [:]
    self.decidedCORS = false
    self.reachedHandler = false
  }

  /// The body as UTF-8.
  public var text: String { String(decoding: body, as: UTF8.self) }

  /// The first value of a field; its name is compared without case.
  public func header(_ name: String) -> String? {
    headers.first { $0.name.lowercased() == name.lowercased() }?.value
  }

  /// All values of a field.
  public func headerValues(_ name: String) -> [String] {
    headers.filter { $0.name.lowercased() == name.lowercased() }.map(\.value)
  }
}

extension Answer: CustomStringConvertible {
  public var description: String {
    let head = headers.map { "\n\($0.name): \($0.value)" }.joined()
    return "\(status)\(head)\n\n\(text.prefix(2000))"
  }
}

/// A plugin that did not start, with the host's reasons for it.
public enum StartFailure: Error, Equatable, CustomStringConvertible {
  case loadFailed(String)
  case abiMismatch(String)
  case badSettings(String)
  case startFailed(String)

  public var description: String {
    switch self {
    case .loadFailed(let message): "load-failed: \(message)"
    case .abiMismatch(let message): "abi-mismatch: \(message)"
    case .badSettings(let message): "bad-settings: \(message)"
    case .startFailed(let message): "start-failed: \(message)"
    }
  }
}

/// A plugin that failed a request: the host would quarantine it.
public struct PluginFault: Error, Equatable, CustomStringConvertible {
  public enum Phase: String, Sendable { case request, handler, response, stream, timer }

  public let phase: Phase
  public let message: String

  public init(phase: Phase, message: String) {
    self.phase = phase
    self.message = message
  }

  public var description: String { "fault in the \(phase.rawValue) phase: \(message)" }
}
