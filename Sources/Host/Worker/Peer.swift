import Glibc

/// The other end of a connection, as text and in network order. Constant for the connection's life.
struct Peer {
  /// Text, at most 45 bytes, then the packed address.
  let storage: UnsafeMutableRawPointer
  let text: bh_bytes
  let ip: bh_bytes
  let isLoopback: Bool

  /// From what accept(2) filled in. The memory is the peer's until `release`.
  init(_ address: inout sockaddr_storage) {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 8)
    storage = memory
    let characters = memory.assumingMemoryBound(to: CChar.self)
    let packed = memory + 48
    switch Int32(address.ss_family) {
    case AF_INET:
      withUnsafeBytes(of: &address) { raw in
        let socket = raw.loadUnaligned(as: sockaddr_in.self)
        withUnsafeBytes(of: socket.sin_addr) { packed.copyMemory(from: $0.baseAddress!, byteCount: 4) }
      }
      inet_ntop(AF_INET, packed, characters, 46)
      text = bh_bytes(data: characters, count: strlen(characters))
      ip = bh_bytes(packed, 4)
      isLoopback = packed.load(as: UInt8.self) == 127
    case AF_INET6:
      withUnsafeBytes(of: &address) { raw in
        let socket = raw.loadUnaligned(as: sockaddr_in6.self)
        withUnsafeBytes(of: socket.sin6_addr) { packed.copyMemory(from: $0.baseAddress!, byteCount: 16) }
      }
      // ::ffff:a.b.c.d is an IPv4 client of a dual-stack socket.
      let isMapped =
        packed.loadUnaligned(as: UInt64.self) == 0
        && packed.loadUnaligned(fromByteOffset: 8, as: UInt32.self) == UInt32(bigEndian: 0x0000_ffff)
      let start = isMapped ? packed + 12 : packed
      let count = isMapped ? 4 : 16
      inet_ntop(isMapped ? AF_INET : AF_INET6, start, characters, 46)
      text = bh_bytes(data: characters, count: strlen(characters))
      ip = bh_bytes(start, count)
      let bytes = ip.buffer
      isLoopback = isMapped ? bytes[0] == 127 : bytes.dropLast().allSatisfy { $0 == 0 } && bytes[15] == 1
    default:
      text = bh_bytes("unix")
      ip = bh_bytes()
      isLoopback = true
    }
  }

  /// A client over a Unix socket, which has no address.
  static func unix() -> Peer {
    var address = sockaddr_storage()
    address.ss_family = sa_family_t(AF_UNIX)
    return Peer(&address)
  }

  func release() { storage.deallocate() }
}
