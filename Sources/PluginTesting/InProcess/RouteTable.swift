import PluginABI

/// The routes that a plugin has registered.
struct RouteTable {
  struct Route {
    let method: String
    /// Mount and pattern, one string a segment; `{name}` stands for any that is not empty.
    let segments: [String]
    let access: bh_access
    let role: String
    let execution: bh_execution
    let handler: UInt32
    /// Most bytes of a body that the handler reads as it arrives; 0: any number. Nil: it gets the body whole.
    let streamedBodyLimit: Int?

    var pattern: String { "/" + segments.joined(separator: "/") }
  }

  enum Match {
    case route(Route, parameters: [(name: String, value: String)])
    case wrongMethod(allowed: [String])
    case none
  }

  private(set) var routes: [Route] = []

  /// Whether the route is acceptable, and was added.
  mutating func add(_ raw: bh_route, mount: String, streamedBodyLimit: Int? = nil) -> Bool {
    guard let method = raw.method.map({ String(cString: $0) }),
      let pattern = raw.pattern.map({ String(cString: $0) })
    else { return false }
    guard !method.isEmpty, method.utf8.allSatisfy(\.isTokenCharacter), !pattern.hasPrefix("/") else {
      return false
    }
    guard raw.access <= UInt32(BH_ACCESS_ROLE), raw.execution <= UInt32(BH_BLOCKING) else { return false }
    let role = raw.role.map { String(cString: $0) } ?? ""
    guard (Int(raw.access) == Int(BH_ACCESS_ROLE)) == !role.isEmpty else { return false }
    let below =
      pattern.isEmpty ? [] : pattern.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    guard below.allSatisfy(Self.isSegment) else { return false }
    let segments = Self.segments(of: mount) + below
    guard !routes.contains(where: { $0.method == method && Self.overlap($0.segments, segments) }) else {
      return false
    }
    routes.append(
      Route(
        method: method, segments: segments, access: raw.access, role: role, execution: raw.execution,
        handler: raw.handler, streamedBodyLimit: streamedBodyLimit))
    return true
  }

  func match(_ method: String, _ path: String) -> Match {
    let segments = Self.segments(of: path)
    let fitting = routes.filter { Self.matches($0.segments, segments) }.sorted(by: Self.isMoreSpecific)
    let wanted =
      fitting.first { $0.method == method } ?? fitting.first { method == "HEAD" && $0.method == "GET" }
    guard let route = wanted else {
      return fitting.isEmpty ? .none : .wrongMethod(allowed: fitting.map(\.method).sorted())
    }
    let parameters = zip(route.segments, segments).filter { $0.0.hasPrefix("{") }.map {
      (name: String($0.0.dropFirst().dropLast()), value: percentDecoded($0.1))
    }
    return .route(route, parameters: parameters)
  }

  static func segments(of path: String) -> [String] { path.split(separator: "/").map(String.init) }

  private static func isSegment(_ segment: String) -> Bool {
    guard segment.hasPrefix("{") else {
      return !segment.isEmpty && !segment.contains(where: { "{}".contains($0) })
    }
    return segment.hasSuffix("}") && segment.count > 2
      && !segment.dropFirst().dropLast().contains { "{}".contains($0) }
  }

  private static func matches(_ pattern: [String], _ path: [String]) -> Bool {
    pattern.count == path.count && zip(pattern, path).allSatisfy { $0.hasPrefix("{") || $0 == $1 }
  }

  /// The same route twice, if with other names for its parameters.
  private static func overlap(_ one: [String], _ other: [String]) -> Bool {
    one.count == other.count
      && zip(one, other).allSatisfy { $0 == $1 || $0.hasPrefix("{") && $1.hasPrefix("{") }
  }

  /// The first segment in which they differ decides: text goes before a parameter.
  private static func isMoreSpecific(_ one: Route, _ other: Route) -> Bool {
    for (mine, theirs) in zip(one.segments, other.segments) where mine.hasPrefix("{") != theirs.hasPrefix("{")
    {
      return theirs.hasPrefix("{")
    }
    return false
  }
}

/// `%41` → `A`; a `%` without two hexadecimal digits stays.
private func percentDecoded(_ text: String) -> String {
  var bytes: [UInt8] = []
  var rest = Array(text.utf8)[...]
  while let byte = rest.popFirst() {
    if byte == UInt8(ascii: "%"), rest.count >= 2,
      let decoded = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
    {
      bytes.append(decoded)
      rest = rest.dropFirst(2)
    } else {
      bytes.append(byte)
    }
  }
  return String(decoding: bytes, as: UTF8.self)
}

extension UInt8 {
  /// RFC 9110 section 5.6.2.
  var isTokenCharacter: Bool {
    switch self {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
      UInt8(ascii: "A")...UInt8(ascii: "Z"):
      true
    default: "!#$%&'*+-.^_`|~".utf8.contains(self)
    }
  }
}
