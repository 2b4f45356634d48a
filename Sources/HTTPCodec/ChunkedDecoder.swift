/// Decodes a chunked body in place (RFC 9112 section 7.1), strictly.
///
/// A state machine over octets, as `RequestParser` is: however the bytes are cut into calls, the result is the same.
/// Payload moves left over the framing; each byte of it moves at most once. One body each; from one thread at a time;
/// allocates nothing.
///
/// Unsafe memory: reads and writes only `region`; the pointer does not outlive the call.
public struct ChunkedDecoder: Sendable {
  private enum State: UInt8 {
    case sizeStart, size, extensions, sizeLineFeed
    case data, dataReturn, dataLineFeed
    case trailerStart, trailerName, trailerValue, trailerLineFeed, lastLineFeed
    case done
  }

  /// Digits of a chunk size; leading zeros count.
  static let maxSizeDigits = 15
  /// Bytes of extensions on one line, from the end of the size to the line's end.
  static let maxExtension = 256
  /// Bytes of extensions in one body.
  static let maxExtensions = 4096

  /// Of the payload that was not removed, and of what is to come.
  private var maxBody: Int
  private let maxTrailer: Int
  private var state: State = .sizeStart
  private var extensionGrammar = ChunkExtension()
  /// Payload bytes of this chunk still to come; or, while its size is read, the size so far.
  private var remaining = 0
  private var digits = 0
  private var extensionsLeft = ChunkedDecoder.maxExtensions
  private var trailerLeft: Int

  /// Payload bytes so far: `region[0..<decodedCount]`.
  public private(set) var decodedCount = 0
  /// Bytes of the region read so far; once `decode` has returned true, the next request begins here. While it
  /// returns false, all that it was given has been read.
  public private(set) var consumedCount = 0

  /// - Parameters:
  ///   - maxBody: Most payload bytes, over all chunks; more is 413.
  ///   - maxTrailer: Most bytes of the trailer section; more is 431.
  public init(maxBody: Int, maxTrailer: Int = 8192) {
    self.maxBody = max(maxBody, 0)
    self.maxTrailer = max(maxTrailer, 0)
    trailerLeft = self.maxTrailer
  }

  /// Goes on decoding.
  ///
  /// - Parameter region: All that was received from the first byte after the head, as the last call left it, and
  ///   more. The memory may have moved.
  /// - Returns: True once the last chunk and the trailer section, which is checked and dropped, have been read.
  /// - Throws: 400 for what is malformed, 413 past `maxBody` (as soon as a size says so), 431 past `maxTrailer`. The
  ///   decoder may not be used again.
  public mutating func decode(_ region: UnsafeMutableRawBufferPointer) throws(RequestError) -> Bool {
    guard let base = region.baseAddress else { return state == .done }
    let end = region.count
    var offset = consumedCount
    while offset < end, state != .done {
      if state == .data {
        offset = moveData(base, offset, end)
      } else if state.rawValue < State.data.rawValue {
        try readSizeLine(base.load(fromByteOffset: offset, as: UInt8.self))
        offset &+= 1
      } else if state.rawValue < State.trailerStart.rawValue {
        try readDataEnd(base.load(fromByteOffset: offset, as: UInt8.self))
        offset &+= 1
      } else {
        try readTrailer(base.load(fromByteOffset: offset, as: UInt8.self))
        offset &+= 1
      }
    }
    consumedCount = offset
    return state == .done
  }

  /// Tells the decoder that the caller has cut the bytes that are neither payload nor unread out of the region, so
  /// that a long body of small chunks needs no more memory than its payload: what was at `consumedCount` is now at
  /// `decodedCount`.
  ///
  /// After `decode` has returned false there is nothing unread, so to cut is to set the region's length to
  /// `decodedCount`.
  public mutating func framingWasRemoved() {
    consumedCount = decodedCount
  }

  /// Tells the decoder that the caller has taken the payload, and cut all that was read out of the region: what was at
  /// `consumedCount` is now at its beginning. The limit goes on counting over the whole body.
  ///
  /// Good after each `decode` that has not thrown: for a body that is passed on as it arrives.
  public mutating func payloadWasTaken() {
    maxBody &-= decodedCount
    decodedCount = 0
    consumedCount = 0
  }

  /// Moves what has arrived of the chunk's data next to the payload before it.
  @inline(__always)
  private mutating func moveData(_ base: UnsafeMutableRawPointer, _ offset: Int, _ end: Int) -> Int {
    let count = min(remaining, end &- offset)
    if decodedCount != offset { (base + decodedCount).copyMemory(from: base + offset, byteCount: count) }
    decodedCount &+= count
    remaining &-= count
    if remaining == 0 { state = .dataReturn }
    return offset &+ count
  }

  // MARK: The line before the data

  @inline(__always)
  private mutating func readSizeLine(_ octet: UInt8) throws(RequestError) {
    switch state {
    case .sizeStart, .size:
      if let digit = Octets.value(ofHexadecimal: octet) {
        guard digits < Self.maxSizeDigits else { throw .malformedChunkSize }
        digits &+= 1
        remaining = remaining &<< 4 | digit
        guard remaining <= maxBody &- decodedCount else { throw .bodyTooLarge }
        state = .size
        return
      }
      guard state == .size else { throw .malformedChunkSize }
      switch octet {
      case Octets.carriageReturn: state = .sizeLineFeed
      case Octets.lineFeed: throw .bareLineFeed
      case UInt8(ascii: ";"), Octets.space, Octets.horizontalTab:
        extensionGrammar = ChunkExtension()
        state = .extensions
        try readExtension(octet)
      default: throw .malformedChunkSize
      }
    case .extensions: try readExtension(octet)
    default:  // .sizeLineFeed
      guard octet == Octets.lineFeed else { throw .bareCarriageReturn }
      digits = 0
      state = remaining == 0 ? .trailerStart : .data
    }
  }

  private mutating func readExtension(_ octet: UInt8) throws(RequestError) {
    if octet == Octets.carriageReturn {
      guard extensionGrammar.mayEnd else { throw .malformedChunkExtension }
      state = .sizeLineFeed
      return
    }
    guard octet != Octets.lineFeed else { throw .bareLineFeed }
    guard extensionGrammar.accept(octet) else { throw .malformedChunkExtension }
    guard extensionGrammar.count <= Self.maxExtension, extensionsLeft > 0 else {
      throw .chunkExtensionTooLong
    }
    extensionsLeft &-= 1
  }

  // MARK: After the data

  @inline(__always)
  private mutating func readDataEnd(_ octet: UInt8) throws(RequestError) {
    if state == .dataReturn {
      guard octet == Octets.carriageReturn else { throw .malformedChunkEnd }
      state = .dataLineFeed
    } else {
      guard octet == Octets.lineFeed else { throw .malformedChunkEnd }
      state = .sizeStart
    }
  }

  /// The trailer section (RFC 9112 section 7.1.2): field lines as in a head, then a blank line.
  @inline(__always)
  private mutating func readTrailer(_ octet: UInt8) throws(RequestError) {
    if state == .lastLineFeed {
      guard octet == Octets.lineFeed else { throw .bareCarriageReturn }
      state = .done
      return
    }
    if state == .trailerStart, octet == Octets.carriageReturn {
      state = .lastLineFeed
      return
    }
    guard trailerLeft > 0 else { throw .trailerTooLarge }
    trailerLeft &-= 1
    switch state {
    case .trailerStart:
      guard Octets.isIn(.token, octet) else { throw RequestParser.fieldStartError(octet) }
      state = .trailerName
    case .trailerName:
      if octet == UInt8(ascii: ":") {
        state = .trailerValue
      } else if !Octets.isIn(.token, octet) {
        throw .malformedFieldName
      }
    case .trailerValue:
      if octet == Octets.carriageReturn {
        state = .trailerLineFeed
      } else if !Octets.isIn(.fieldValue, octet) {
        throw octet == Octets.lineFeed ? .bareLineFeed : .malformedFieldValue
      }
    default:  // .trailerLineFeed
      guard octet == Octets.lineFeed else { throw .bareCarriageReturn }
      state = .trailerStart
    }
  }
}
