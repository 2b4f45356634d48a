/// Makes inputs out of the corpus, the same ones for the same seed.
struct Mutator: ~Copyable {
  static let maxInput = 512

  private var random: SplitMix64
  private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: Mutator.maxInput, alignment: 16)
  private var count = 0
  private let requests = Corpus.requests
  /// Where the body of each request begins, if it has one.
  private let bodies = Corpus.requests.map { Mutator.endOfHead($0) }
  private let pieces = Corpus.pieces
  private var bodyStart = 0

  init(seed: UInt64) {
    random = SplitMix64(seed: seed)
  }

  deinit {
    input.deallocate()
  }

  /// The next input, valid until the next call.
  mutating func next() -> UnsafeRawBufferPointer {
    count = 0
    let request = random.below(requests.count)
    insert(requests[request], at: 0)
    bodyStart = bodies[request]
    // Few changes leave most of a request whole, so that much of it is read; now and then there are many.
    let changes = random.below(16) == 0 ? random.below(12) : 1 + random.below(4) / 2
    for _ in 0..<changes { change() }
    return UnsafeRawBufferPointer(rebasing: input[..<count])
  }

  private mutating func change() {
    // Most changes to a head end in refusal, before any body is read; so bodies get changes of their own.
    let start = bodyStart < count && random.below(4) > 0 ? bodyStart : 0
    let index = start + random.below(count + 1 - start)
    switch random.below(10) {
    case 0, 1: insert(pieces[random.below(pieces.count)], at: index)
    case 2, 3: overwrite(with: pieces[random.below(pieces.count)], at: index)
    case 4: if index < count { input[index] ^= UInt8(truncatingIfNeeded: 1 << random.below(8)) }
    case 5: if index < count { input[index] = UInt8(truncatingIfNeeded: random.below(256)) }
    case 6: remove(index..<min(count, index + 1))
    case 7: remove(index..<min(count, index + random.below(24)))
    case 8: duplicate(index..<min(count, index + random.below(24)), at: random.below(count + 1))
    default: splice(requests[random.below(requests.count)], at: index)
    }
  }

  private static func endOfHead(_ request: [UInt8]) -> Int {
    let blank: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A]
    return request.indices.first { request[$0...].starts(with: blank) }.map { $0 + 4 } ?? request.count
  }

  private mutating func insert(_ bytes: [UInt8], at index: Int) {
    bytes.withUnsafeBytes { insert($0, at: index) }
  }

  private mutating func insert(_ bytes: UnsafeRawBufferPointer, at index: Int) {
    guard let source = bytes.baseAddress, let base = input.baseAddress, count + bytes.count <= input.count
    else {
      return
    }
    (base + index + bytes.count).copyMemory(from: base + index, byteCount: count - index)
    (base + index).copyMemory(from: source, byteCount: bytes.count)
    count += bytes.count
  }

  private mutating func overwrite(with bytes: [UInt8], at index: Int) {
    remove(index..<min(count, index + bytes.count))
    insert(bytes, at: index)
  }

  private mutating func remove(_ range: Range<Int>) {
    guard let base = input.baseAddress else { return }
    (base + range.lowerBound).copyMemory(from: base + range.upperBound, byteCount: count - range.upperBound)
    count -= range.count
  }

  private mutating func duplicate(_ range: Range<Int>, at index: Int) {
    withUnsafeTemporaryAllocation(byteCount: range.count, alignment: 1) { copy in
      copy.copyMemory(from: UnsafeRawBufferPointer(rebasing: input[range]))
      insert(UnsafeRawBufferPointer(copy), at: index)
    }
  }

  /// Goes on with the rest of another request.
  private mutating func splice(_ other: [UInt8], at index: Int) {
    count = index
    let start = random.below(other.count)
    other.withUnsafeBytes { insert(UnsafeRawBufferPointer(rebasing: $0[start...]), at: index) }
  }
}
