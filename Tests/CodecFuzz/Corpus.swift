/// What mutation starts from: good and bad requests, most of them short, so that most inputs are.
enum Corpus {
  static let requests: [[UInt8]] = (heads + chunked.map { head + $0 } + malformed).map { Array($0.utf8) }

  /// Pieces that mean something in a request; mutation puts them where they do not belong.
  static let pieces: [[UInt8]] = [
    "\r\n", "\r\n\r\n", "\n", "\r", " ", "\t", "\0", "\u{7F}", ":", ",", ";", "=", "\"", "\\", "/", "//",
    "/../", "/./",
    "?", "#", "*", "%", "%2e", "%2F", "%00", "%41", "%c3", "0", "1", "f", "00", "5\r\n", "0\r\n\r\n", "é",
    "GET ", "POST ", "OPTIONS ", "http://", "HTTPS://", " HTTP/1.1\r\n", " HTTP/1.0\r\n", "[::1]", ":80", "@",
    "Host: a\r\n", "host:b\r\n", "Content-Length: 5\r\n", "Content-Length: ",
    "Transfer-Encoding: chunked\r\n",
    "transfer-encoding: ", "chunked", "Connection: close\r\n", "Expect: 100-continue\r\n", "Origin: null\r\n",
    "X: ",
  ].map { Array($0.utf8) }

  private static let head = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

  private static let heads = [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "GET /health HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n",
    "HEAD /a/../b//c/%7e%2e/./d?e=f HTTP/1.1\r\nHost: [::1]:80\r\nX:\t y \r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\nOrigin: https://b\r\nAccess-Control-Request-Method: PUT\r\n\r\n",
    "GET http://a.b/c?d HTTP/1.1\r\nHost: a.b\r\nConnection: close, x\r\n\r\n",
    "GET HTTPS://[1:2::3]:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    "\r\nPOST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
    "DELETE /x HTTP/1.0\r\nConnection: keep-alive\r\nAuthorization: Bearer e\r\n\r\n",
    "PATCH /p HTTP/1.1\r\nhost:a\r\nUser-Agent: u\r\nX-Request-Id: 1\r\nContent-Type: a/b\r\n\r\n",
  ]

  private static let chunked = [
    "0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\nGET", "1;a=\"b\\\"\"\r\nx\r\n00\r\nA: b\r\n\r\n",
    "a\r\n0123456789\r\n1 ; n = v\r\n.\r\n0\r\nC:\r\n\r\n",
    "2\r\n\r\n\r\n3;a;b\r\n0\r\n\r\n0\r\n\r\n",
    "3\r\nabc\r\n2\r\nde\r\n1\r\nf\r\n0;x=\"y\"\r\nE: f\r\nG: h\r\n\r\n",
  ]

  private static let malformed = [
    "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "GET /%2f HTTP/1.1\r\nHost: a,b\r\n\r\n",
    "\u{16}\u{3}\u{1}", "GET  / HTTP/1.1\r\n\r\n", "GET /\r\n",
  ]
}
