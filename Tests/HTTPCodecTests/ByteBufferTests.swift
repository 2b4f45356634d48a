import HTTPCodec
import Testing

@Suite("a byte buffer")
struct ByteBufferTests {
  @Test("holds nothing until it is needed, and gives it back when asked")
  func memory() {
    var buffer = ByteBuffer()
    #expect(buffer.capacity == 0 && buffer.isEmpty && buffer.readable.isEmpty)
    buffer.append(byte: 1)
    #expect(buffer.capacity > 0 && buffer.count == 1)
    buffer.shrink(to: 0)
    #expect(buffer.capacity == 1 && Array(buffer.readable) == [1])
    buffer.consume(1)
    buffer.shrink(to: 0)
    #expect(buffer.capacity == 0 && buffer.isEmpty)
    buffer.append("abc")
    #expect(text(buffer) == "abc")
  }

  @Test("compacts rather than grows while what is read keeps up with what is written")
  func steadyState() {
    var buffer = ByteBuffer(capacity: 1024)
    var next: UInt8 = 0
    var expected: UInt8 = 0
    for _ in 0..<10_000 {
      let space = buffer.reserve(300)
      for index in 0..<300 {
        space[index] = next
        next &+= 1
      }
      buffer.commit(300)
      let readable = buffer.readable
      for index in 0..<300 where readable[index] != expected &+ UInt8(truncatingIfNeeded: index) {
        Issue.record("byte \(index) is \(readable[index])")
        return
      }
      expected &+= UInt8(truncatingIfNeeded: 300)
      buffer.consume(300)
    }
    #expect(buffer.capacity == 1024)
  }

  @Test("keeps its bytes through any sequence of operations")
  func model() {
    var random = SplitMix64.printingSeed()
    var buffer = ByteBuffer(capacity: 16)
    var model: [UInt8] = []
    for _ in 0..<20_000 {
      switch Int.random(in: 0..<7, using: &random) {
      case 0:
        let bytes = (0..<Int.random(in: 0..<40, using: &random)).map { _ in
          UInt8.random(in: 0...255, using: &random)
        }
        bytes.withUnsafeBytes { buffer.append($0) }
        model += bytes
      case 1:
        let bytes = [UInt8](repeating: 7, count: Int.random(in: 0..<40, using: &random))
        let space = buffer.reserve(bytes.count)
        #expect(space.count >= bytes.count)
        space.copyBytes(from: bytes)
        buffer.commit(bytes.count)
        model += bytes
      case 2, 3:
        let count = Int.random(in: 0...model.count, using: &random)
        buffer.consume(count)
        model.removeFirst(count)
      case 4:
        let count = Int.random(in: 0...model.count, using: &random)
        buffer.truncate(to: count)
        model.removeLast(model.count - count)
      case 5: buffer.shrink(to: Int.random(in: 0..<200, using: &random))
      default:
        if model.count > 500 {
          buffer.removeAll()
          model = []
        }
      }
      #expect(Array(buffer.readable) == model)
      #expect(
        buffer.count == model.count && buffer.isEmpty == model.isEmpty && buffer.capacity >= model.count)
    }
  }

  @Test("is appended to in text")
  func text() {
    let numbers = [
      0, 1, 9, 10, 15, 16, 99, 100, 255, 256, 65_535, 1_000_000_000_000, Int.max, Int.min, -1, -10,
    ]
    for number in numbers {
      var buffer = ByteBuffer()
      buffer.append(decimal: number)
      #expect(text(buffer) == String(number))
      buffer.removeAll()
      buffer.append(hexadecimal: number)
      #expect(text(buffer) == String(UInt(bitPattern: number), radix: 16))
    }
    var buffer = ByteBuffer()
    let word = "wörld"
    buffer.append("hello")
    buffer.append(byte: 0x20)
    buffer.append(word)
    buffer.append("\(word)\(word)\(word)\(word)\(word)")
    #expect(text(buffer) == "hello wörldwörldwörldwörldwörldwörld")
  }

  private func text(_ buffer: borrowing ByteBuffer) -> String {
    String(decoding: buffer.readable, as: UTF8.self)
  }
}
