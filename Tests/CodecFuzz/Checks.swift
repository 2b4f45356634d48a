import HTTPCodec

/// What must hold for every input.
struct Checks: ~Copyable {
  /// Small enough for inputs to meet the limits.
  static let limits = [CodecLimits(), CodecLimits(maxTarget: 24, maxHead: 120, maxBody: 12, maxFields: 3)]

  var random: SplitMix64
  let memory = GuardedMemory()
  let pieces = GuardedMemory()
  var whole = RequestHead()
  var other = RequestHead()
  /// Accepted so far.
  var heads = 0
  var bodies = 0

  init(seed: UInt64) {
    random = SplitMix64(seed: ~seed)
  }

  /// - Returns: What does not hold, or nil.
  mutating func run(_ input: UnsafeRawBufferPointer) -> String? {
    let limits = Self.limits[random.below(Self.limits.count)]
    let bytes = memory.last(input.count)
    bytes.copyMemory(from: input)
    let outcome = parse(UnsafeRawBufferPointer(bytes), limits)

    if let finding = compare(outcome, input, limits, byteByByte: true) { return "byte by byte: \(finding)" }
    if let finding = compare(outcome, input, limits, byteByByte: false) { return "in pieces: \(finding)" }
    guard case .done = outcome else {
      guard case .refused = outcome else { return nil }
      return checkRefused(input, UnsafeRawBufferPointer(bytes))
    }

    heads += 1
    if let finding = HeadInvariants.check(whole, UnsafeRawBufferPointer(bytes), limits) { return finding }
    let path = UnsafeRawBufferPointer(rebasing: bytes[whole.path.start..<whole.path.end])
    if let finding = checkPath(path) { return finding }
    guard whole.framing == .chunked else { return nil }
    return checkBody(UnsafeRawBufferPointer(rebasing: input[whole.count...]), limits.maxBody)
  }

  enum Outcome: Equatable {
    case incomplete
    case done
    case refused(RequestError)
  }

  private mutating func parse(_ bytes: UnsafeRawBufferPointer, _ limits: CodecLimits) -> Outcome {
    var parser = RequestParser(limits: limits)
    do throws(RequestError) {
      return try parser.parse(bytes, into: &whole) ? .done : .incomplete
    } catch {
      return .refused(error)
    }
  }

  /// Parses the input as it arrives, and compares the outcome with that of the whole.
  ///
  /// Only what has arrived is in the memory given to the parser; the rest is zero, which no head may have.
  private mutating func compare(
    _ expected: Outcome, _ input: UnsafeRawBufferPointer, _ limits: CodecLimits, byteByByte: Bool
  ) -> String? {
    let bytes = pieces.last(input.count)
    bytes.initializeMemory(as: UInt8.self, repeating: 0)
    var parser = RequestParser(limits: limits)
    var arrived = 0
    var outcome = Outcome.incomplete
    while arrived < input.count, outcome == .incomplete {
      let next = byteByByte ? 1 : min(1 + random.below(40), input.count - arrived)
      for index in arrived..<arrived + next { bytes[index] = input[index] }
      arrived += next
      do throws(RequestError) {
        let part = UnsafeRawBufferPointer(rebasing: bytes[..<arrived])
        outcome = try parser.parse(part, into: &other) ? .done : .incomplete
      } catch {
        outcome = .refused(error)
      }
    }
    guard outcome == expected else { return "\(outcome) instead of \(expected)" }
    guard case .done = outcome else { return nil }
    if byteByByte, arrived != other.count { return "done after \(arrived) bytes, not \(other.count)" }
    return HeadInvariants.equal(whole, other) ? nil : "another head: \(other) instead of \(whole)"
  }
}
