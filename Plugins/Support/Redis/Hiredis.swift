import CHiredis
import SystemLibrary

/// The functions of libhiredis that write and read the protocol, opened when first asked for.
///
/// Sockets, deadlines and the pool are this module's own: hiredis's bound each system call, and not the whole
/// exchange, and its context differs from version to version. So of its structures only the reply is read, in the
/// layout of the version at hand, and that is proved on a known reply before it is trusted.
public struct Hiredis: Sendable {
  let createReader: bh_redis_reader_create
  let freeReader: bh_redis_reader_free
  let feed: bh_redis_reader_feed
  let getReply: bh_redis_reader_get_reply
  let freeReply: bh_redis_free_reply
  let format: bh_redis_format
  let freeCommand: bh_redis_free_command
  private let layout: Layout
  /// As it was opened: `libhiredis.so.0.14`.
  public let name: String

  private enum Layout { case before1, from1 }

  /// As distributions name them: Debian 12 has 0.14, Debian 13 and Ubuntu 24.04 1.1.0.
  private static let candidates: [(String, Layout)] = [
    ("libhiredis.so.1.4.0", .from1), ("libhiredis.so.1.3.0", .from1), ("libhiredis.so.1.1.0", .from1),
    ("libhiredis.so.1.0.1", .from1), ("libhiredis.so.1.0.0", .from1), ("libhiredis.so.1", .from1),
    ("libhiredis.so.0.14", .before1), ("libhiredis.so.0.13", .before1),
  ]

  /// Opens the newest that is there.
  ///
  /// - Throws: `SystemLibraryError`.
  public init() throws(SystemLibraryError) {
    for (name, layout) in Self.candidates {
      let library: SystemLibrary
      do throws(SystemLibraryError) {
        library = try SystemLibrary(name, package: Self.package)
      } catch {
        continue
      }
      try self.init(library, layout)
      return
    }
    throw .missing(
      "libhiredis.so", package: Self.package, reason: "none of 0.13, 0.14 and 1.0 to 1.4 is installed")
  }

  /// Opens one library by its path, whichever layout it has.
  init(path: String) throws(SystemLibraryError) {
    let library = try SystemLibrary(path, package: Self.package)
    do throws(SystemLibraryError) { try self.init(library, .from1) } catch {
      try self.init(library, .before1)
    }
  }

  private static let package = "libhiredis0.14 (Debian 12) or libhiredis1.1.0 (Debian 13)"

  private init(_ library: SystemLibrary, _ layout: Layout) throws(SystemLibraryError) {
    name = library.name
    self.layout = layout
    createReader = try library.function("redisReaderCreate")
    freeReader = try library.function("redisReaderFree")
    feed = try library.function("redisReaderFeed")
    getReply = try library.function("redisReaderGetReply")
    freeReply = try library.function("freeReplyObject")
    format = try library.function("redisFormatCommandArgv")
    freeCommand = try library.function("redisFreeCommand")
    guard isProved else { throw .noSymbol("redisReply of a known layout", in: name) }
  }

  /// Whether a reply with something in every field reads as what it is. A pointer is followed only after the numbers
  /// beside it, which differ between the layouts, have been found right.
  private var isProved: Bool {
    guard let reader = createReader() else { return false }
    defer { freeReader(reader) }
    let bytes = Array("*2\r\n:7\r\n$5\r\nhello\r\n".utf8)
    guard bytes.withUnsafeBytes({ feed(reader, $0.bindMemory(to: CChar.self).baseAddress, $0.count) }) == 0
    else { return false }
    var reply: UnsafeMutableRawPointer?
    guard getReply(reader, &reply) == 0, let reply else { return false }
    defer { freeReply(reply) }
    let count =
      switch layout {
      case .before1: reply.assumingMemoryBound(to: bh_redis_reply_0.self).pointee.elements
      case .from1: reply.assumingMemoryBound(to: bh_redis_reply_1.self).pointee.elements
      }
    guard count == 2 else { return false }
    do throws(RedisError) {
      return try value(of: reply) == .array([.integer(7), .string(Array("hello".utf8))])
    } catch {
      return false
    }
  }

  /// A copy of a reply of the library's.
  ///
  /// - Throws: `RedisError.refused` if it is an error, and `.malformed` if it is of a kind that RESP2 does not have.
  func value(of reply: UnsafeMutableRawPointer) throws(RedisError) -> RedisReply {
    switch layout {
    case .before1:
      let raw = reply.assumingMemoryBound(to: bh_redis_reply_0.self).pointee
      return try value(raw.type, raw.integer, raw.str, raw.len, UnsafeRawPointer(raw.element), raw.elements)
    case .from1:
      let raw = reply.assumingMemoryBound(to: bh_redis_reply_1.self).pointee
      return try value(raw.type, raw.integer, raw.str, raw.len, UnsafeRawPointer(raw.element), raw.elements)
    }
  }

  private func value(
    _ type: Int32, _ integer: Int64, _ string: UnsafePointer<CChar>?, _ length: Int,
    _ elements: UnsafeRawPointer?, _ count: Int
  ) throws(RedisError) -> RedisReply {
    let bytes = UnsafeRawBufferPointer(start: string, count: string == nil ? 0 : length)
    switch Int(type) {
    case BH_REDIS_STRING: return .string(Array(bytes))
    case BH_REDIS_STATUS: return .status(String(decoding: bytes, as: UTF8.self))
    case BH_REDIS_ERROR: throw .refused(String(decoding: bytes, as: UTF8.self))
    case BH_REDIS_INTEGER: return .integer(integer)
    case BH_REDIS_NIL: return .null
    case BH_REDIS_ARRAY:
      var values: [RedisReply] = []
      values.reserveCapacity(count)
      for index in 0..<count {
        let element = elements?.load(
          fromByteOffset: index * MemoryLayout<UnsafeMutableRawPointer?>.stride,
          as: UnsafeMutableRawPointer?.self)
        guard let element else { throw .malformed("an array with a hole") }
        values.append(try value(of: element))
      }
      return .array(values)
    default: throw .malformed("a reply of type \(type)")
    }
  }
}
