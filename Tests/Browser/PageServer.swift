import Foundation
import PluginTesting
import Synchronization

/// Serves a few files from a port of its own on the loopback: another site's pages, to a browser.
///
/// It ends when the value goes.
public final class PageServer: Sendable {
  public let port: UInt16
  private let listener: Int32
  private let pages: [String: String]

  /// Under this origin pages of it run; the server listens on 127.0.0.1 only.
  public var origin: String { "http://localhost:\(port)" }

  /// - Parameter pages: HTML, by path.
  public init(_ pages: [String: String]) throws {
    self.pages = pages
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let descriptor = listener
    let isBound = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && listen(descriptor, 16) == 0
          && getsockname(descriptor, $0, &length) == 0
      }
    }
    port = UInt16(bigEndian: address.sin_port)
    guard isBound else {
      throw HarnessError.system(call: "listen on the loopback", reason: String(cString: strerror(errno)))
    }
    Thread.detachNewThread { [pages] in PageServer.serve(descriptor, pages) }
  }

  /// Wakes the thread, which then closes the socket.
  deinit { shutdown(listener, Int32(SHUT_RDWR)) }

  private static func serve(_ listener: Int32, _ pages: [String: String]) {
    defer { close(listener) }
    while true {
      let connection = accept(listener, nil, nil)
      if connection < 0 {
        if errno == EINTR || errno == ECONNABORTED { continue }
        return
      }
      // A browser opens connections that it may never use: none is waited for.
      Thread.detachNewThread { answer(connection, pages) }
    }
  }

  private static func answer(_ connection: Int32, _ pages: [String: String]) {
    defer { close(connection) }
    var head: [UInt8] = []
    var bytes = [UInt8](repeating: 0, count: 8192)
    while !head.suffix(4).elementsEqual("\r\n\r\n".utf8) {
      let count = recv(connection, &bytes, bytes.count, 0)
      guard count > 0 else { return }
      head += bytes[..<count]
    }
    let words = String(decoding: head, as: UTF8.self).split(separator: " ", maxSplits: 2)
    let path = String((words.count > 1 ? words[1] : "").prefix { $0 != "?" })
    let page = pages[path]
    let status = page != nil ? "200 OK" : path == "/favicon.ico" ? "204 No Content" : "404 Not Found"
    let body = page ?? ""
    let answer = Array(
      """
      HTTP/1.1 \(status)\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: \(body.utf8.count)\r
      Connection: close\r\n\r\n\(body)
      """.utf8)
    var sent = 0
    while sent < answer.count {
      let count = answer[sent...].withUnsafeBytes {
        send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return }
      sent += count
    }
  }
}
