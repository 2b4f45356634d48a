/// A command: its name and arguments, any bytes, laid out one behind the other.
public struct RedisCommand: Sendable {
  private(set) var bytes: [UInt8] = []
  private(set) var lengths: [Int] = []

  public init(_ words: String...) { for word in words { append(word) } }

  public mutating func append(_ argument: String) {
    bytes.append(contentsOf: argument.utf8)
    lengths.append(argument.utf8.count)
  }

  public mutating func append(_ argument: some Collection<UInt8>) {
    bytes.append(contentsOf: argument)
    lengths.append(argument.count)
  }

  /// All arguments of another, behind those that are there.
  public mutating func append(contentsOf other: RedisCommand) {
    bytes.append(contentsOf: other.bytes)
    lengths.append(contentsOf: other.lengths)
  }
}
