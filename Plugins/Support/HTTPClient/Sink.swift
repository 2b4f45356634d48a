// Unsafe memory: libcurl lends the bytes for the length of a call; they are copied.

/// What libcurl has received of one answer. Used by the thread that runs the transfer.
final class Sink {
  /// The fields of one answer, all interim ones included.
  private static let maxHead = 1 << 16

  let maxBody: Int
  private(set) var body: [UInt8] = []
  private(set) var headers: [(name: String, value: String)] = []
  private(set) var isOverfull = false
  private var headBytes = 0

  init(maxBody: Int) { self.maxBody = maxBody }

  static func from(_ pointer: UnsafeMutableRawPointer?) -> Sink? {
    pointer.map { Unmanaged<Sink>.fromOpaque($0).takeUnretainedValue() }
  }

  /// - Returns: How many bytes were taken; fewer than there are end the transfer.
  func takeBody(_ bytes: UnsafeRawBufferPointer) -> Int {
    guard body.count + bytes.count <= maxBody else {
      isOverfull = true
      return 0
    }
    body.append(contentsOf: bytes)
    return bytes.count
  }

  /// Takes one line of a head, its end included. As `takeBody(_:)`.
  func takeLine(_ bytes: UnsafeRawBufferPointer) -> Int {
    headBytes += bytes.count
    guard headBytes <= Self.maxHead else {
      isOverfull = true
      return 0
    }
    let line = bytes.prefix { $0 != 0x0d && $0 != 0x0a }
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")), !line.starts(with: "HTTP/".utf8) else {
      // A status line: what came before was an interim response.
      if line.starts(with: "HTTP/".utf8) { headers.removeAll() }
      return bytes.count
    }
    let isSpace = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
    var value = line[(colon + 1)...].drop(while: isSpace)
    while let last = value.last, isSpace(last) { value.removeLast() }
    headers.append(
      (String(decoding: line[..<colon], as: UTF8.self), String(decoding: value, as: UTF8.self)))
    return bytes.count
  }
}
