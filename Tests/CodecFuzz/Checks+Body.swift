import HTTPCodec

extension Checks {
  private static let maxTrailer = 40

  private struct Decoded: Equatable {
    var outcome: Outcome
    var payload: [UInt8]
    /// Bytes of the input that were read; meaningless after a refusal.
    var consumed: Int
  }

  mutating func checkBody(_ input: UnsafeRawBufferPointer, _ maxBody: Int) -> String? {
    let whole = decode(input, maxBody) { _ in input.count }
    let byteByByte = decode(input, maxBody) { _ in 1 }
    guard byteByByte == whole else { return "body byte by byte: \(byteByByte) instead of \(whole)" }
    var random = random
    let pieces = decode(input, maxBody, removesFraming: true) { left in min(left, 1 + random.below(16)) }
    self.random = random
    guard pieces == whole else { return "body in pieces: \(pieces) instead of \(whole)" }
    guard whole.outcome == .done else { return nil }
    bodies += 1
    guard whole.payload.count <= maxBody else { return "a body beyond its limit" }
    let read = Array(input[..<whole.consumed])
    guard Self.reference(read) == whole.payload else { return "another payload than \(whole.payload)" }
    return checkEncoding(whole.payload)
  }

  /// Decodes the input as it arrives in pieces of the sizes that `next` gives.
  private func decode(
    _ input: UnsafeRawBufferPointer, _ maxBody: Int, removesFraming: Bool = false,
    _ next: (_ left: Int) -> Int
  ) -> Decoded {
    var decoder = ChunkedDecoder(maxBody: maxBody, maxTrailer: Self.maxTrailer)
    let region = memory.last(input.count)
    var used = 0
    var arrived = 0
    var removed = 0
    var outcome = Outcome.incomplete
    while arrived < input.count, outcome == .incomplete {
      let count = min(max(next(input.count - arrived), 1), input.count - arrived)
      for offset in 0..<count { region[used + offset] = input[arrived + offset] }
      used += count
      arrived += count
      do throws(RequestError) {
        outcome = try decoder.decode(.init(rebasing: region[..<used])) ? .done : .incomplete
      } catch {
        return Decoded(outcome: .refused(error), payload: [], consumed: 0)
      }
      if removesFraming, outcome == .incomplete {
        removed += decoder.consumedCount - decoder.decodedCount
        used = decoder.decodedCount
        decoder.framingWasRemoved()
      }
    }
    return Decoded(
      outcome: outcome, payload: Array(region[..<decoder.decodedCount]),
      consumed: decoder.consumedCount + removed)
  }

  /// The payload of a body that is known to be whole, decoded in the plainest way; nil if that fails.
  private static func reference(_ body: [UInt8]) -> [UInt8]? {
    var rest = body[...]
    var payload: [UInt8] = []
    while let lineEnd = rest.firstIndex(of: 0x0D) {
      let digits = rest[..<lineEnd].prefix { Character(UnicodeScalar($0)).isHexDigit }
      guard let size = Int(String(decoding: digits, as: UTF8.self), radix: 16) else { return nil }
      rest = rest[lineEnd...].dropFirst(2)
      if size == 0 {
        return rest.suffix(2) == [0x0D, 0x0A] ? payload : nil
      }
      guard rest.count >= size + 2 else { return nil }
      payload += rest.prefix(size)
      rest = rest.dropFirst(size + 2)
    }
    return nil
  }

  /// What the encoder writes, the decoder reads.
  private func checkEncoding(_ payload: [UInt8]) -> String? {
    var buffer = ByteBuffer()
    payload.withUnsafeBytes { ResponseEncoder.chunk($0, into: &buffer) }
    ResponseEncoder.lastChunk(into: &buffer)
    let encoded = Array(buffer.readable)
    let decoded = encoded.withUnsafeBytes { bytes in decode(bytes, payload.count) { _ in bytes.count } }
    return decoded.payload == payload && decoded.outcome == .done
      ? nil : "the encoded payload is not read back"
  }
}
