import DiagnosticsPage
import HTTPCodec

/// The page at `/__diag/`, and the events that keep it live.
extension Diagnostics {
  private static let placeholder = Array("@NONCE@".utf8)

  /// The page's text between the places of its nonce. They lie in the program file.
  nonisolated(unsafe) private static let pieces: [UnsafeRawBufferPointer] = {
    let page = UnsafeRawBufferPointer(start: diagnostics_page(), count: diagnostics_page_size())
    var pieces: [UnsafeRawBufferPointer] = []
    var start = 0
    var index = 0
    while index + placeholder.count <= page.count {
      guard page[index] == placeholder[0],
        page[index..<(index + placeholder.count)].elementsEqual(placeholder)
      else {
        index += 1
        continue
      }
      pieces.append(UnsafeRawBufferPointer(rebasing: page[start..<index]))
      index += placeholder.count
      start = index
    }
    return pieces + [UnsafeRawBufferPointer(rebasing: page[start...])]
  }()

  /// True if the client is a browser that wants to be shown something: programs are answered in JSON.
  func wantsPage(_ x: Exchange) -> Bool {
    for index in 0..<x.request.pointee.field_count
    where x.fields[index].name.equalsIgnoringCase(bh_bytes("Accept")) {
      let text = x.fields[index].value.string.lowercased()
      if Template.contains(text, "text/html") { return true }
      if Template.contains(text, "json") { return false }
    }
    return true
  }

  /// Nothing of it is loaded from anywhere, nothing runs or paints that does not carry this response's nonce, and it is
  /// shown in no frame.
  func page(_ x: Exchange, status: Int = 200) {
    var nonce = [UInt8](repeating: 0, count: 16)
    nonce.withUnsafeMutableBytes { Randomness.fill($0) }
    let text = nonce.flatMap { [hexadecimalDigit($0 >> 4), hexadecimalDigit($0 & 15)] }
    x.respond(status, type: "text/html; charset=utf-8") { body in
      for (index, piece) in Diagnostics.pieces.enumerated() {
        if index > 0 { text.withUnsafeBytes { body.append($0) } }
        body.append(piece)
      }
    }
    let name = String(decoding: text, as: UTF8.self)
    let policy =
      "default-src 'none'; script-src 'nonce-\(name)'; style-src 'nonce-\(name)'; connect-src 'self'; "
      + "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
      + "require-trusted-types-for 'script'"
    policy.withBytes { _ = x.addHeader(bh_bytes("Content-Security-Policy"), $0) }
    x.addHeader(borrowing: bh_bytes("X-Content-Type-Options"), bh_bytes("nosniff"))
    x.addHeader(borrowing: bh_bytes("Referrer-Policy"), bh_bytes("no-referrer"))
    x.addHeader(borrowing: bh_bytes("Cross-Origin-Opener-Policy"), bh_bytes("same-origin"))
    x.addHeader(borrowing: bh_bytes("Cross-Origin-Resource-Policy"), bh_bytes("same-origin"))
    x.addHeader(borrowing: bh_bytes("X-Frame-Options"), bh_bytes("DENY"))
    x.addHeader(borrowing: bh_bytes("Vary"), bh_bytes("Accept"))
  }

  /// `/__diag/events`.
  func events(_ x: Exchange) {
    guard let loop = x.connection?.loop, feed.join() else {
      return x.respond(
        HostProblem(
          status: 503, code: "too-many-streams", detail: "Too many pages look on already.", retryAfter: 10))
    }
    x.status = 200
    x.setHeader(borrowing: bh_bytes("Content-Type"), bh_bytes("text/event-stream"))
    x.addHeader(borrowing: bh_bytes("X-Accel-Buffering"), bh_bytes("no"))
    x.stream = DiagnosticsReader.stream(of: feed, loop: loop)
  }
}
