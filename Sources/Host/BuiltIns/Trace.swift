import HTTPCodec

/// What the pipeline would do with a request: a synthetic one, run through the middleware and not into the handler.
struct Trace {
  var status: UInt32
  var route: String?
  var access: String?
  var blamed: String?
  var passes: [PluginPass]
  var headers: [(String, String)]
  var error: String?

  /// Runs plugins, on the calling loop's thread. The client is that of `original`. Nil for a path that the host answers
  /// itself, where no plugin runs.
  static func run(path: String, method: String, origin: String?, in worker: Worker, like original: Exchange)
    -> Trace?
  {
    // What is asked for is put into the text of a request: it may not be more than its part of that.
    guard [path, method, origin ?? ""].allSatisfy({ $0.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f } }) else {
      return Trace(
        status: 400, passes: [], headers: [], error: "Path, method or origin has a blank or a control.")
    }
    let x = Exchange(limits: worker.limits)
    x.connection = original.connection
    x.isTrace = true
    x.startedAt = Clock.monotonic()
    let originField = origin.map { "Origin: \($0)\r\n" } ?? ""
    x.input.append("\(method) \(path) HTTP/1.1\r\nHost: trace\r\n\(originField)\r\n")
    var random = IdentifierGenerator()
    do throws(RequestError) {
      guard try x.parser.parse(UnsafeRawBufferPointer(x.input.readable), into: &x.head) else {
        return Trace(status: 400, passes: [], headers: [], error: "The request is not whole.")
      }
      let view = original.request.pointee
      try RequestView.prepare(
        x,
        RequestView.Context(
          clientAddress: view.client_address, clientIP: view.client_ip, isTrustedPeer: false,
          timeoutNanoseconds: worker.timeouts.request),
        random: &random)
    } catch {
      return Trace(status: UInt32(error.status), passes: [], headers: [], error: error.detail)
    }
    // It would be answered as any request for it is: a trace by a trace, and so on for as long as its path.
    guard !worker.builtIns.answers(x.request.pointee.path) else { return nil }
    guard let loop = original.connection?.loop else {
      return Trace(status: 500, passes: [], headers: [], error: "There is no loop to run it on.")
    }
    _ = worker.pipeline.run(x, on: loop.frame, isOnLoop: false)
    var found: Route?
    if case .route(let route) = x.match { found = route }
    return Trace(
      status: x.status, route: found?.pattern, access: found?.access.text, blamed: x.blamed?.name,
      passes: (0..<x.timelineCount).map { x.timeline[$0] },
      headers: x.headers.map { ($0.name.string, $0.value.string) }, error: nil)
  }

  func write(to json: inout JSONWriter, plugins: [Plugin]) {
    let reachesHandler = status == 0
    json.field("reaches_handler", reachesHandler)
    json.field("status", reachesHandler ? nil : Int(status))
    json.field("route", route)
    json.field("access", access)
    json.field("plugin", blamed)
    json.field("error", error)
    json.array("plugins") { array in
      for pass in passes {
        array.object {
          $0.field("plugin", plugins[Int(pass.plugin)].name)
          $0.field("phase", "\(pass.phase)")
          $0.field("outcome", "\(pass.outcome)")
          $0.field("duration_us", Double(pass.nanoseconds) / 1000)
        }
      }
    }
  }
}

/// The parameters of a query, decoded as a form's are: `+` stands for a blank.
struct Query {
  private let pairs: [(String, String)]

  init(_ bytes: bh_bytes) {
    pairs = bytes.buffer.split(separator: UInt8(ascii: "&")).map { pair in
      let equals = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
      return (Query.decode(pair[..<equals]), Query.decode(pair[equals...].dropFirst()))
    }
  }

  subscript(name: String) -> String? { pairs.first { $0.0 == name }?.1 }

  private static func decode(_ text: Slice<UnsafeRawBufferPointer>) -> String {
    guard !text.isEmpty else { return "" }
    let spaced = text.map { $0 == UInt8(ascii: "+") ? UInt8(ascii: " ") : $0 }
    var arena = Arena(capacity: spaced.count)
    return spaced.withUnsafeBytes { PercentDecoding.decode(bh_bytes($0), in: &arena).string }
  }
}
