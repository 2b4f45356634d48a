import Glibc

/// A block of IP addresses: `10.0.0.0/8`, `fd00::/8`, or one address.
///
/// IPv4-mapped IPv6 addresses (`::ffff:10.0.0.1`, RFC 4291 section 2.5.5.2), which is how a dual-stack socket names
/// an IPv4 peer, are the IPv4 addresses that they stand for. So `::/0` is every IPv6 address and no IPv4 address.
struct AddressPrefix: Sendable, Equatable {
  /// In host order, bits past the prefix clear. IPv4 uses the lower 32 bits of `low`.
  private let high: UInt64
  private let low: UInt64
  private let isIPv4: Bool
  /// In bits: up to 32 for IPv4, up to 128 for IPv6.
  let length: Int

  /// Nil if the text is no address or block; `parse` says why.
  init?(_ text: String) {
    do { self = try AddressPrefix.parse(text) } catch { return nil }
  }

  /// Bits that are set past the prefix do not matter: `10.1.2.3/8` is `10.0.0.0/8`.
  static func parse(_ text: String) throws(InvalidValue) -> AddressPrefix {
    let shown = text.quotedForMessage
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let address = IPAddress(String(parts[0])) else {
      throw InvalidValue("has \(shown), which is no address or block, such as 10.0.0.0/8 or fd00::/8")
    }
    let width = address.bytes.count * 8
    var length = width
    if parts.count == 2 {
      guard let written = Int(parts[1]), parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }),
        written <= width
      else { throw InvalidValue("has \(shown), whose prefix length is not in 0...\(width)") }
      length = written
    }
    return AddressPrefix(address.bytes, length: length)
  }

  private init(_ bytes: [UInt8], length: Int) {
    let value = bytes.withUnsafeBytes { AddressPrefix.value(of: $0) }
    // A block of mapped addresses is a block of IPv4; a larger one, such as ::/0, only looks like one.
    let isMapped = bytes.count == 16 && value.isIPv4 && length >= 96
    if bytes.count == 4 || isMapped {
      self.isIPv4 = true
      self.length = isMapped ? length - 96 : length
      self.high = 0
      self.low = value.low & AddressPrefix.mask(self.length + 32)
    } else {
      let whole = bytes.withUnsafeBytes { AddressPrefix.bigEndian($0) }
      self.isIPv4 = false
      self.length = length
      self.high = whole.high & AddressPrefix.mask(length)
      self.low = whole.low & AddressPrefix.mask(length - 64)
    }
  }

  /// Whether the address of 4 or 16 bytes, in network order, lies in the block. Allocates nothing; any thread.
  func contains(_ ip: UnsafeRawBufferPointer) -> Bool {
    guard ip.count == 4 || ip.count == 16 else { return false }
    let value = AddressPrefix.value(of: ip)
    guard value.isIPv4 == isIPv4 else { return false }
    if isIPv4 { return value.low & AddressPrefix.mask(length + 32) == low }
    return value.high & AddressPrefix.mask(length) == high
      && value.low & AddressPrefix.mask(length - 64) == low
  }

  /// In its shortest spelling, with the length unless it is a single address.
  var text: String {
    var bytes: [UInt8] = []
    for word in [high, low] {
      for shift in stride(from: 56, through: 0, by: -8) {
        bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(shift)))
      }
    }
    let address = IPAddress(bytes: isIPv4 ? Array(bytes.suffix(4)) : bytes).text
    return length == (isIPv4 ? 32 : 128) ? address : "\(address)/\(length)"
  }

  /// The upper `count` of 64 bits; below 0 none, above 64 all.
  private static func mask(_ count: Int) -> UInt64 {
    count <= 0 ? 0 : count >= 64 ? .max : ~(.max >> UInt64(count))
  }

  private static func value(of ip: UnsafeRawBufferPointer) -> (high: UInt64, low: UInt64, isIPv4: Bool) {
    if ip.count == 4 {
      return (0, UInt64(UInt32(bigEndian: ip.loadUnaligned(as: UInt32.self))), true)
    }
    let whole = bigEndian(ip)
    if whole.high == 0, whole.low >> 32 == 0xFFFF { return (0, whole.low & 0xFFFF_FFFF, true) }
    return (whole.high, whole.low, false)
  }

  private static func bigEndian(_ ip: UnsafeRawBufferPointer) -> (high: UInt64, low: UInt64) {
    (
      UInt64(bigEndian: ip.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
      UInt64(bigEndian: ip.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    )
  }
}

/// A numeric address, as inet_pton(3) reads it: four decimal numbers, or RFC 4291 section 2.2 without a zone.
struct IPAddress: Equatable {
  /// In network order: 4 for IPv4, 16 for IPv6.
  let bytes: [UInt8]

  init(bytes: [UInt8]) { self.bytes = bytes }

  init?(_ text: String) {
    guard !text.utf8.contains(0) else { return nil }
    let isIPv6 = text.utf8.contains(UInt8(ascii: ":"))
    var bytes = [UInt8](repeating: 0, count: isIPv6 ? 16 : 4)
    guard inet_pton(isIPv6 ? AF_INET6 : AF_INET, text, &bytes) == 1 else { return nil }
    self.bytes = bytes
  }

  /// Without brackets; IPv6 as RFC 5952 has it.
  var text: String {
    var buffer = [CChar](repeating: 0, count: 64)
    guard
      inet_ntop(bytes.count == 4 ? AF_INET : AF_INET6, bytes, &buffer, socklen_t(buffer.count)) != nil
    else { return "" }
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
