import HTTPCodec

/// What must hold for a head that was refused.
extension Checks {
  /// Reads it on as a whole, and as it arrives, and compares what was learnt.
  mutating func checkRefused(_ input: UnsafeRawBufferPointer, _ whole: UnsafeRawBufferPointer) -> String? {
    let limit = random.below(2) == 0 ? 1 << 16 : random.below(input.count + 2)
    var expected = RefusedHead(limit: limit)
    let isOver = expected.read(whole)
    let bytes = pieces.last(input.count)
    bytes.initializeMemory(as: UInt8.self, repeating: 0)
    var other = RefusedHead(limit: limit)
    var isOtherOver = false
    var arrived = 0
    while arrived < input.count {
      let next = min(1 + random.below(40), input.count - arrived)
      for index in arrived..<arrived + next { bytes[index] = input[index] }
      arrived += next
      isOtherOver = other.read(UnsafeRawBufferPointer(rebasing: bytes[..<arrived]))
    }
    guard input.count == 0 || isOtherOver == isOver else { return "a refused head ends elsewhere in pieces" }
    guard expected.method(in: whole) == other.method(in: UnsafeRawBufferPointer(bytes)) else {
      return "a refused head has another method in pieces"
    }
    for known in KnownField.allCases {
      guard let value = expected.value(of: known) else {
        if other.value(of: known) != nil { return "\(known) of a refused head is there in pieces only" }
        continue
      }
      guard other.value(of: known) == value else { return "\(known) of a refused head differs in pieces" }
      guard value.end <= min(input.count, limit), FieldSyntax.isFieldValue(value.bytes(in: whole)) else {
        return "\(known) of a refused head is malformed, or out of bounds"
      }
    }
    return nil
  }
}
