/// Reads one response off a connection, strictly by RFC 9112.
struct ResponseReader {
  let connection: HTTPConnection
  let deadline: Deadline

  mutating func response(to method: String) throws -> HTTPResponse {
    var response = try head()
    if method == "HEAD" || response.status == 204 || response.status == 304 { return response }
    if let coding = response.header("transfer-encoding") {
      guard coding.lowercased() == "chunked", response.header("content-length") == nil else {
        throw HarnessError.malformed("Transfer-Encoding \(coding) with \(response.headers)")
      }
      response.isChunked = true
      response.body = try chunks()
    } else if let text = response.header("content-length") {
      guard let count = Int(text), count >= 0 else { throw HarnessError.malformed("Content-Length \(text)") }
      response.body = try take(count)
    } else {
      response.body = try rest()
    }
    return response
  }

  /// The next head that is final; those of 1xx before it are noted.
  mutating func head() throws -> HTTPResponse {
    var informational: [Int] = []
    while true {
      let parts = try line().split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3, parts[0].hasPrefix("HTTP/1."), let status = Int(parts[1]), parts[1].count == 3
      else {
        throw HarnessError.malformed("status line \(parts)")
      }
      let headers = try fields()
      for name in [
        "content-length", "transfer-encoding", "date", "x-request-id", "connection", "content-type",
      ] {
        guard headers.count(where: { $0.name.lowercased() == name }) < 2 else {
          throw HarnessError.malformed("\(name) more than once in \(headers)")
        }
      }
      if (100..<200).contains(status) && status != 101 {
        informational.append(status)
        continue
      }
      return HTTPResponse(
        version: String(parts[0]), status: status, reason: String(parts[2]), headers: headers, body: [],
        informational: informational)
    }
  }

  private mutating func fields() throws -> [(name: String, value: String)] {
    var headers: [(name: String, value: String)] = []
    while true {
      let text = try line()
      if text.isEmpty { return headers }
      guard let colon = text.firstIndex(of: ":"), colon != text.startIndex, !text.hasPrefix(" "),
        !text.hasPrefix("\t")
      else { throw HarnessError.malformed("field line \(text.debugDescription)") }
      let name = text[..<colon]
      guard name.utf8.allSatisfy({ $0 > 32 && $0 < 127 }) else {
        throw HarnessError.malformed("field name \(name)")
      }
      let value = text[text.index(after: colon)...]
      headers.append((String(name), HTTPText.trimmed(String(value))))
    }
  }

  private mutating func chunks() throws -> [UInt8] {
    var body: [UInt8] = []
    while true {
      let size = try line().prefix { $0 != ";" }
      guard !size.isEmpty, let count = Int(size, radix: 16), count >= 0 else {
        throw HarnessError.malformed("chunk size \(size.debugDescription)")
      }
      if count == 0 {
        _ = try fields()
        return body
      }
      body += try take(count)
      guard try line().isEmpty else { throw HarnessError.malformed("a chunk is longer than its size") }
    }
  }

  /// Up to CRLF, which is taken too; a bare CR or LF in it is malformed.
  private mutating func line() throws -> String {
    var searched = 0
    while true {
      if let end = connection.buffer[searched...].firstIndex(of: 10) {
        guard end > 0, connection.buffer[end - 1] == 13 else { throw HarnessError.malformed("a bare LF") }
        let bytes = connection.buffer[..<(end - 1)]
        guard !bytes.contains(13) else { throw HarnessError.malformed("a bare CR") }
        let text = String(decoding: bytes, as: UTF8.self)
        connection.buffer.removeFirst(end + 1)
        return text
      }
      searched = connection.buffer.count
      try more()
    }
  }

  private mutating func take(_ count: Int) throws -> [UInt8] {
    while connection.buffer.count < count { try more() }
    let bytes = Array(connection.buffer.prefix(count))
    connection.buffer.removeFirst(count)
    return bytes
  }

  /// To the end of the stream.
  private mutating func rest() throws -> [UInt8] {
    while true {
      guard let bytes = try connection.socket.receive(deadline: deadline) else {
        throw HarnessError.timedOut("the end of a response without a length")
      }
      if bytes.isEmpty { break }
      connection.buffer += bytes
    }
    defer { connection.buffer = [] }
    return connection.buffer
  }

  private mutating func more() throws {
    guard let bytes = try connection.socket.receive(deadline: deadline) else {
      throw HarnessError.timedOut("a whole response; so far: \(sofar.debugDescription)")
    }
    if bytes.isEmpty { throw HarnessError.closed(received: sofar) }
    connection.buffer += bytes
  }

  private var sofar: String { String(decoding: connection.buffer.prefix(2000), as: UTF8.self) }
}

enum HTTPText {
  /// Without spaces and tabs at either end (OWS, RFC 9110 section 5.6.3).
  static func trimmed(_ text: String) -> String {
    let isSpace: (Character) -> Bool = { $0 == " " || $0 == "\t" }
    let tail = text.drop(while: isSpace)
    return String(tail.reversed().drop(while: isSpace).reversed())
  }
}
