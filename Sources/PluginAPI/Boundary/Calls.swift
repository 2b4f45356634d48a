import PluginABI

// The functions of the table that serve requests. Nothing here retains the instance: the host holds it until `stop`.

typealias PhaseFunction =
  @convention(c) (UnsafeMutableRawPointer?, OpaquePointer?, UnsafePointer<bh_request>?) -> bh_status
typealias HandlerFunction =
  @convention(c) (UnsafeMutableRawPointer?, UInt32, OpaquePointer?, UnsafePointer<bh_request>?) -> bh_status

/// `bh_plugin.request`.
let runRequestPhase: PhaseFunction = {
  guard let instance = $0, let exchange = $1, let raw = $2 else { return Status.fault }
  return Unmanaged<Instance>.fromOpaque(instance)._withUnsafeGuaranteedRef { instance in
    let request = Request(raw: raw, exchange: exchange, services: instance.host)
    do {
      guard let response = try instance.request(request) else { return Status.ok }
      try request.answer(with: response)
      return Status.respond
    } catch {
      return request.settle(error, asProblem: Status.respond)
    }
  }
}

/// `bh_plugin.response`.
let runResponsePhase: PhaseFunction = {
  guard let instance = $0, let exchange = $1, let raw = $2 else { return Status.fault }
  return Unmanaged<Instance>.fromOpaque(instance)._withUnsafeGuaranteedRef { instance in
    let request = Request(raw: raw, exchange: exchange, services: instance.host)
    do {
      try instance.response(request)
      return Status.ok
    } catch {
      return request.settle(error, asProblem: Status.ok)
    }
  }
}

/// `bh_plugin.handle`.
let runHandler: HandlerFunction = {
  guard let instance = $0, let exchange = $2, let raw = $3 else { return Status.fault }
  let handler = Int($1)
  return Unmanaged<Instance>.fromOpaque(instance)._withUnsafeGuaranteedRef { instance in
    let request = Request(raw: raw, exchange: exchange, services: instance.host)
    do {
      try request.answer(with: try instance.handle(handler, request))
      return Status.ok
    } catch {
      return request.settle(error, asProblem: Status.ok)
    }
  }
}

extension Request {
  /// A ``Problem`` becomes the response, and a body that will not come is the host's to answer for; anything else is a
  /// fault, with the error's description as the message.
  fileprivate func settle(_ error: any Error, asProblem status: bh_status) -> bh_status {
    if error is RequestBodyError, hasLostBody { return status }
    var fault = error
    if let problem = error as? Problem {
      do {
        try answer(with: problem)
        return status
      } catch {
        fault = error
      }
    }
    String(describing: fault).withBytes { services.table.pointee.set_error(services.context, exchange, $0) }
    return Status.fault
  }

  private func answer(with problem: Problem) throws {
    let status = problem.withRaw { services.table.pointee.set_problem(exchange, $0) }
    guard status == Status.ok else { throw HostRefusal.problem(status: problem.status, code: problem.code) }
    for (name, value) in problem.headers { try response.setHeader(name, value) }
  }

  fileprivate func answer(with response: Response) throws {
    try self.response.setStatus(response.status)
    try setHeaders(response.headers)
    switch response.body {
    case .empty: break
    case .bytes(let bytes): bytes.withBytes { services.table.pointee.set_body(exchange, $0) }
    case .text(let text): text.withBytes { services.table.pointee.set_body(exchange, $0) }
    case .stream(let source): try openStream(source)
    }
  }

  /// The first of a name replaces what others have set, and the next ones are added; `Vary` and `Set-Cookie` always are.
  private func setHeaders(_ headers: [(name: String, value: String)]) throws {
    for (index, header) in headers.enumerated() {
      if header.name.namesAddedField || headers.names(header.name, before: index) {
        try response.addHeader(header.name, header.value)
      } else {
        try response.setHeader(header.name, header.value)
      }
    }
  }
}

extension [(name: String, value: String)] {
  fileprivate func names(_ name: String, before end: Int) -> Bool {
    for index in 0..<end where self[index].name.equalsFieldName(name) { return true }
    return false
  }
}

extension String {
  /// A field to which each plugin has something to add. The length is looked at first, for this runs on every response.
  fileprivate var namesAddedField: Bool {
    switch utf8.count {
    case 4: equalsFieldName("Vary")
    case 10: equalsFieldName("Set-Cookie")
    default: false
    }
  }

  fileprivate func equalsFieldName(_ other: String) -> Bool {
    withBytes { mine in other.withBytes { mine.equalsIgnoringCase($0.buffer) } }
  }
}

extension Problem {
  /// Views of the strings, for the time of the call.
  fileprivate func withRaw(_ body: (UnsafePointer<bh_problem>) -> bh_status) -> bh_status {
    code.withBytes { code in
      title.withBytes { title in
        detail.withBytes { detail in
          members.withBytes { members in
            var raw = bh_problem()
            raw.size = UInt32(MemoryLayout<bh_problem>.size)
            raw.status = UInt32(clamping: status)
            raw.code = code
            raw.title = title
            raw.detail = detail
            raw.members = members
            return body(&raw)
          }
        }
      }
    }
  }
}
