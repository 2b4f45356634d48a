import HTTPCodec

/// An answer of the host's own that tells what is wrong, as application/problem+json (RFC 9457).
struct HostProblem {
  var status: Int
  /// Stable, kebab-case.
  var code: StaticString
  var detail: StaticString
  var retryAfter: Int?
  /// Value of WWW-Authenticate (RFC 6750).
  var challenge: StaticString?

  static let notFound = HostProblem(
    status: 404, code: "not-found", detail: "No route has this path.")
  static let methodNotAllowed = HostProblem(
    status: 405, code: "method-not-allowed", detail: "The path has no such method; Allow lists those it has.")
  static let unauthorized = HostProblem(
    status: 401, code: "unauthorized", detail: "This route needs a valid token.",
    challenge: "Bearer realm=\"bulkhead\"")
  static let forbidden = HostProblem(
    status: 403, code: "forbidden", detail: "This route needs a role that you do not have.",
    challenge: "Bearer realm=\"bulkhead\", error=\"insufficient_scope\"")
  /// RFC 9110 section 10.1.1: a client that gets this sends the request again without the expectation.
  static let expectationFailed = HostProblem(
    status: 417, code: "unsupported-expectation",
    detail: "Whether this request is allowed cannot be told before its body: send it without Expect.")
  static let overloaded = HostProblem(
    status: 503, code: "overloaded", detail: "Too many requests are waiting.", retryAfter: 1)
  static let bare = HostProblem(
    status: 503, code: "bare-mode", detail: "The host runs without its plugins.", retryAfter: 10)
  static let starting = HostProblem(
    status: 503, code: "starting", detail: "The host is starting its plugins.", retryAfter: 1)
  static let deadline = HostProblem(
    status: 504, code: "request-timeout", detail: "The request's time was used up.")

  static func unavailable(retryAfter: Int) -> HostProblem {
    HostProblem(
      status: 503, code: "plugin-unavailable", detail: "A plugin that this request needs is out of service.",
      retryAfter: retryAfter)
  }

  static let timeout = HostProblem(
    status: 504, code: "plugin-timeout",
    detail: "A plugin did not come back in time, and was taken out of service.",
    retryAfter: 1)

  static let fault = HostProblem(
    status: 503, code: "plugin-fault",
    detail: "A plugin failed on this request, and was taken out of service.",
    retryAfter: 1)
}

extension Exchange {
  /// Makes the response this problem, blaming `plugin` if it is given.
  func respond(_ problem: HostProblem, blaming plugin: Plugin? = nil) {
    responder = -1
    blamed = plugin
    if status != 0 { forgetBody() }
    writeProblem(
      status: problem.status, code: bh_bytes(problem.code), title: bh_bytes(),
      detail: bh_bytes(problem.detail),
      members: bh_bytes())
    if let seconds = problem.retryAfter {
      setHeader(borrowing: bh_bytes("Retry-After"), arena.copy(String(max(1, seconds))))
    }
    if let challenge = problem.challenge {
      setHeader(borrowing: bh_bytes("WWW-Authenticate"), bh_bytes(challenge))
    }
    forbidStoring()
  }

  /// What the host has to say against a request is so at this moment: a route, a plugin or a limit may be another in the
  /// next, and 404, 405, 414 and 501 are stored by whoever is not told otherwise (RFC 9110 section 15.1).
  private func forbidStoring() {
    setHeader(borrowing: bh_bytes("Cache-Control"), bh_bytes("no-store"))
  }

  /// A plugin's own.
  func respond(_ problem: bh_problem) {
    writeProblem(
      status: Int(problem.status), code: problem.code, title: problem.title, detail: problem.detail,
      members: problem.members)
  }

  /// One that the codec found.
  func respond(_ error: RequestError) {
    error.code.withBytes { code in
      error.detail.withBytes { detail in
        writeProblem(status: error.status, code: code, title: bh_bytes(), detail: detail, members: bh_bytes())
      }
    }
    forbidStoring()
  }

  /// In place of the answer that was in the making.
  func replaceResponse(by error: RequestError) {
    responder = -1
    if status != 0 { forgetBody() }
    respond(error)
  }

  /// Removes what describes the body that is replaced, or says how to cache it.
  private func forgetBody() {
    headers.removeAll { field in
      Exchange.fieldsOfBody.contains { field.name.equalsIgnoringCase(bh_bytes($0)) }
    }
  }

  private static let fieldsOfBody: [StaticString] = [
    "Content-Encoding", "Content-Language", "Content-Location", "Content-Range", "Content-Disposition",
    "Accept-Ranges", "ETag", "Last-Modified", "Cache-Control", "Expires",
  ]

  private func writeProblem(
    status: Int, code: bh_bytes, title: bh_bytes, detail: bh_bytes, members: bh_bytes
  ) {
    let view = request.pointee
    respond(status, type: "application/problem+json") { body in
      body.append("{\"type\":\"urn:bulkhead:problem:" as StaticString)
      body.appendJSONText(code)
      body.append("\",\"title\":" as StaticString)
      body.appendJSONString(title.isEmpty ? bh_bytes(ResponseEncoder.reasonPhrase(status)) : title)
      body.append(",\"status\":" as StaticString)
      body.append(decimal: status)
      if !detail.isEmpty {
        body.append(",\"detail\":" as StaticString)
        body.appendJSONString(detail)
      }
      if !view.path.isEmpty {
        body.append(",\"instance\":" as StaticString)
        body.appendJSONString(view.path)
      }
      body.append(",\"code\":" as StaticString)
      body.appendJSONString(code)
      body.append(",\"request_id\":" as StaticString)
      body.appendJSONString(view.request_id)
      if let blamed {
        body.append(",\"plugin\":" as StaticString)
        blamed.name.withBytes { body.appendJSONString($0) }
      }
      if !members.isEmpty {
        body.append(byte: UInt8(ascii: ","))
        body.append(members)
      }
      body.append(byte: UInt8(ascii: "}"))
    }
  }
}
