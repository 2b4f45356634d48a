import CCurl
import CurlShim

// Unsafe memory: the two handles are made here and freed in deinit; the multi handle holds the easy one only while
// `run` is on the stack. libcurl's callbacks are given `Sink`, which `run` keeps alive as long, on the same thread.

/// One request at a time on handles of its own, which keep the connection. Used by one thread at a time, handed on
/// under a lock.
final class Transfer: @unchecked Sendable {
  struct Answer {
    let response: ClientResponse
    /// The absolute URL of a redirect.
    let location: String?
  }

  /// How often the caller is asked whether to go on.
  private static let pollMilliseconds: Int32 = 50

  private let library: CurlLibrary
  private let easy: CurlLibrary.Handle
  private let multi: CurlLibrary.Handle

  init(_ library: CurlLibrary) throws(HTTPClientError) {
    guard let easy = library.easyInit() else { throw Self.noMemory }
    guard let multi = library.multiInit() else {
      library.easyCleanup(easy)
      throw Self.noMemory
    }
    self.library = library
    self.easy = easy
    self.multi = multi
  }

  deinit {
    library.easyCleanup(easy)
    _ = library.multiCleanup(multi)
  }

  /// Sends one request, and reads its answer; follows no redirect.
  /// - Throws: `HTTPClientError`, and what `checkpoint` throws.
  func run(
    _ request: ClientRequest, _ options: HTTPClient.Options, within limit: Duration,
    checkpoint: () throws -> Void
  ) throws -> Answer {
    let sink = Sink(maxBody: options.maxBody)
    library.easyReset(easy)
    let list = try headerList(request)
    defer { library.listFree(list) }
    return try request.body.withUnsafeBytes { body in
      try withExtendedLifetime(sink) {
        try configure(options, within: limit)
        try pointer(CURLOPT_HTTPHEADER, UnsafeRawPointer(list))
        try text(CURLOPT_URL, request.url.text)
        if request.method == .post {
          try long(CURLOPT_POST, 1)
          // On a connection that is found dead libcurl sends again, which must not happen to just any request.
          if !request.isRepeatable { try long(CURLOPT_FRESH_CONNECT, 1) }
          // libcurl reads the bytes where they are; none at all need an address too.
          try long(CURLOPT_POSTFIELDSIZE, body.count)
          if let start = body.baseAddress {
            try pointer(CURLOPT_POSTFIELDS, start)
          } else {
            try text(CURLOPT_COPYPOSTFIELDS, "")
          }
        }
        try collect(into: sink)
        let code = try perform(checkpoint)
        guard code == CURLE_OK else { throw failure(code, sink) }
        return try answer(to: request, sink)
      }
    }
  }

  private func configure(_ options: HTTPClient.Options, within limit: Duration) throws(HTTPClientError) {
    // Threads share the process's signals: no alarm(2) for name look-ups.
    try long(CURLOPT_NOSIGNAL, 1)
    // A name server that keeps silent would hold a request that is given up until it speaks: no timeout would hold.
    try long(CURLOPT_QUICK_EXIT, 1)
    try text(CURLOPT_PROTOCOLS_STR, "http,https")
    try long(CURLOPT_FOLLOWLOCATION, 0)
    // "" is no proxy at all, where NULL would ask the environment.
    try text(CURLOPT_PROXY, options.proxy ?? "")
    if options.proxy != nil { try text(CURLOPT_NOPROXY, "") }
    try long(CURLOPT_SSL_VERIFYPEER, 1)
    try long(CURLOPT_SSL_VERIFYHOST, 2)
    if let authorities = options.authorities { try text(CURLOPT_CAINFO, authorities) }
    try text(CURLOPT_USERAGENT, options.userAgent)
    try long(CURLOPT_TIMEOUT_MS, max(1, limit.milliseconds))
    try long(CURLOPT_CONNECTTIMEOUT_MS, max(1, min(limit, options.connectTimeout).milliseconds))
  }

  private func collect(into sink: Sink) throws(HTTPClientError) {
    let target = Unmanaged.passUnretained(sink).toOpaque()
    try writer(CURLOPT_WRITEFUNCTION) { bytes, _, count, target in
      Sink.from(target)?.takeBody(UnsafeRawBufferPointer(start: bytes, count: count)) ?? 0
    }
    try pointer(CURLOPT_WRITEDATA, target)
    try writer(CURLOPT_HEADERFUNCTION) { bytes, _, count, target in
      Sink.from(target)?.takeLine(UnsafeRawBufferPointer(start: bytes, count: count)) ?? 0
    }
    try pointer(CURLOPT_HEADERDATA, target)
  }

  /// Runs the transfer to its end.
  private func perform(_ checkpoint: () throws -> Void) throws -> CURLcode {
    try check(library.multiAdd(multi, easy))
    defer { _ = library.multiRemove(multi, easy) }
    while true {
      var running: Int32 = 0
      try check(library.multiPerform(multi, &running))
      if running == 0 { break }
      try checkpoint()
      try check(library.multiPoll(multi, nil, 0, Self.pollMilliseconds, nil))
    }
    var left: Int32 = 0
    while let message = library.multiMessage(multi, &left) {
      if message.pointee.msg == CURLMSG_DONE { return message.pointee.data.result }
    }
    throw HTTPClientError(.broken, "libcurl ended a request without a result", wasSent: true)
  }

  private func answer(to request: ClientRequest, _ sink: Sink) throws(HTTPClientError) -> Answer {
    var status = 0
    guard curlshim_get_long(library.getinfo, easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK, status > 0
    else { throw HTTPClientError(.malformed, "an answer without status", wasSent: true) }
    var seconds: curl_off_t = 0
    let hasRetryAfter =
      curlshim_get_offset(library.getinfo, easy, CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK && seconds > 0
    var location: UnsafePointer<CChar>?
    let hasLocation =
      curlshim_get_string(library.getinfo, easy, CURLINFO_REDIRECT_URL, &location) == CURLE_OK
    return Answer(
      response: ClientResponse(
        status: status, headers: sink.headers, body: sink.body,
        retryAfter: hasRetryAfter ? .seconds(seconds) : nil, url: request.url),
      location: hasLocation ? location.map { String(cString: $0) } : nil)
  }

  private func failure(_ code: CURLcode, _ sink: Sink) -> HTTPClientError {
    var sent = 0
    // Not known is sent: the careful answer.
    let isKnown = curlshim_get_long(library.getinfo, easy, CURLINFO_REQUEST_SIZE, &sent) == CURLE_OK
    if sink.isOverfull {
      return HTTPClientError(.tooLarge, "more than \(sink.maxBody) bytes", wasSent: true)
    }
    return HTTPClientError(kind(of: code), library.message(code), wasSent: !isKnown || sent > 0)
  }

  private func kind(of code: CURLcode) -> HTTPClientError.Kind {
    switch code {
    case CURLE_OPERATION_TIMEDOUT: .timedOut
    case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_CONNECT: .unreachable
    case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CONNECT_ERROR, CURLE_SSL_CACERT_BADFILE,
      CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_INVALIDCERTSTATUS:
      .insecure
    case CURLE_WEIRD_SERVER_REPLY, CURLE_UNSUPPORTED_PROTOCOL, CURLE_BAD_CONTENT_ENCODING,
      CURLE_HTTP2, CURLE_HTTP2_STREAM, CURLE_HTTP_RETURNED_ERROR, CURLE_WRITE_ERROR:
      .malformed
    case CURLE_URL_MALFORMAT, CURLE_BAD_FUNCTION_ARGUMENT, CURLE_UNKNOWN_OPTION, CURLE_OUT_OF_MEMORY:
      .invalid
    default: .broken
    }
  }
}

extension Transfer {
  private static let noMemory = HTTPClientError(.invalid, "libcurl has no memory", wasSent: false)

  /// The fields, without those that libcurl would add unasked.
  private func headerList(_ request: ClientRequest) throws(HTTPClientError) -> UnsafeMutablePointer<
    curl_slist
  >? {
    for (name, value) in request.headers {
      guard !name.isEmpty, name.utf8.allSatisfy({ 0x21...0x7e ~= $0 && $0 != UInt8(ascii: ":") }),
        value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f })
      else { throw HTTPClientError(.invalid, "a header field has control characters", wasSent: false) }
    }
    // "Name;" is libcurl's way to send a field with an empty value.
    let lines = request.headers.map { $0.value.isEmpty ? "\($0.name);" : "\($0.name): \($0.value)" }
    var list: UnsafeMutablePointer<curl_slist>?
    for line in lines + ["Expect:"] {
      guard let longer = library.listAppend(list, line) else {
        library.listFree(list)
        throw Self.noMemory
      }
      list = longer
    }
    return list
  }

  private func long(_ option: CURLoption, _ value: Int) throws(HTTPClientError) {
    try check(curlshim_set_long(library.setopt, easy, option, value), option)
  }

  private func pointer(_ option: CURLoption, _ value: UnsafeRawPointer?) throws(HTTPClientError) {
    try check(curlshim_set_pointer(library.setopt, easy, option, value), option)
  }

  /// libcurl copies the text.
  private func text(_ option: CURLoption, _ value: String) throws(HTTPClientError) {
    try check(value.withCString { curlshim_set_pointer(library.setopt, easy, option, $0) }, option)
  }

  private func writer(
    _ option: CURLoption, _ value: @escaping curl_write_callback
  ) throws(HTTPClientError) {
    try check(curlshim_set_writer(library.setopt, easy, option, value), option)
  }

  private func check(_ code: CURLcode, _ option: CURLoption) throws(HTTPClientError) {
    guard code == CURLE_OK else {
      throw HTTPClientError(
        .invalid, "libcurl refuses option \(option.rawValue): \(library.message(code))", wasSent: false)
    }
  }

  private func check(_ code: CURLMcode) throws(HTTPClientError) {
    guard code == CURLM_OK else { throw HTTPClientError(.broken, library.message(code), wasSent: true) }
  }
}

extension Duration {
  /// Whole milliseconds, rounded down.
  var milliseconds: Int { Int(components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000) }
}
