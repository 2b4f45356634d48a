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

  /// Runs plugins, on the calling loop's thread. The client is that of `original`.
  static func run(path: String, method: String, origin: String?, in worker: Worker, like original: Exchange)
    -> Trace
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
    guard let loop = original.connection?.loop else {
      return Trace(status: 500, passes: [], headers: [], error: "There is no loop to run it on.")
    }
    _ = worker.pipeline.run(x, on: loop.frame)
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

/// The parameters of a query, percent-decoded.
struct Query {
  private let pairs: [(String, String)]

  init(_ bytes: bh_bytes) {
    pairs = bytes.string.split(separator: "&").map { pair in
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return (Query.decode(parts[0]), parts.count > 1 ? Query.decode(parts[1]) : "")
    }
  }

  subscript(name: String) -> String? { pairs.first { $0.0 == name }?.1 }

  private static func decode(_ text: Substring) -> String {
    var arena = Arena(capacity: 1024)
    let spaced = String(text.map { $0 == "+" ? " " : $0 })
    return spaced.withBytes { PercentDecoding.decode($0, in: &arena).string }
  }
}
