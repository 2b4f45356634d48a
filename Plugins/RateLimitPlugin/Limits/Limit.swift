import PathPattern

/// One `limit` of the configuration: which requests it counts, by whom, and how many it allows.
struct Limit: Sendable, Equatable {
  /// In the RateLimit fields, the log, and metrics. Unique among the limits of a plugin.
  var name: String
  /// As sent; empty: every method. OPTIONS is never counted.
  var methods: [String]
  /// Nil: every path.
  var path: PathPattern?
  /// Written `=PATH`: what lies below the path is not counted.
  var isExact = false
  var count: UInt64
  /// In nanoseconds.
  var period: UInt64
  /// How many may come at once.
  var burst: UInt64
  var partition: Partition
  let rate: GCRA
  /// As written, without the name: for people.
  var text: String
  /// The period as written: `1m`.
  var window: String

  /// Whose requests are counted together.
  enum Partition: Sendable, Equatable {
    /// The identity's subject; the client's address if there is no identity.
    case identity
    /// The client's address: IPv6 by its /64.
    case address
    /// A header field's value; the client's address if the field is absent.
    case header(String)
  }

  /// The same for the same limit in every process: a limit that stays as it is keeps its counters over a
  /// swap, and one that is changed begins anew.
  var identifier: UInt64 {
    let by =
      switch partition {
      case .identity: "identity"
      case .address: "address"
      case .header(let name): "header \(name.lowercased())"
      }
    let text =
      "\(methods.sorted().joined(separator: ",")) \(isExact ? "=" : "")\(path?.text ?? "") \(count)/\(period) \(burst) \(by)"
    return Array(text.utf8).withUnsafeBytes { SipHash(key: (0, 0)).hash(prefix: 0, $0) }
  }

  /// Whether the limit counts such a request. GET stands for HEAD too, as it does for routes.
  func applies(to method: String, path: UnsafeRawBufferPointer) -> Bool {
    if !methods.isEmpty, !methods.contains(method), !(method == "HEAD" && methods.contains("GET")) {
      return false
    }
    guard let pattern = self.path else { return true }
    return isExact ? pattern.matchesWhole(path) : pattern.matches(path)
  }
}

/// Why a `limit` is no limit. `description` quotes it, and says what to write.
struct LimitError: Error, Equatable, CustomStringConvertible {
  var limit: String
  var reason: String
  var description: String { "limit = \(limit): \(reason)" }
}
