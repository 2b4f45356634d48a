/// Names and values in order, in memory that is never moved: a thread that hangs in the middle of a plugin leaves behind
/// what another thread can read.
final class FieldList: Sequence {
  private let capacity: Int
  private let reserve: Int
  private let base: UnsafeMutablePointer<bh_field>
  private(set) var count = 0
  /// The fields as `mark` found them.
  private let marked: UnsafeMutablePointer<bh_field>
  private var markedCount = 0

  /// - Parameters:
  ///   - capacity: how many plugins may add.
  ///   - reserve: how many the host may add beyond that.
  init(capacity: Int, reserve: Int = 0) {
    self.capacity = capacity
    self.reserve = reserve
    base = .allocate(capacity: capacity + reserve)
    marked = .allocate(capacity: capacity + reserve)
  }

  deinit {
    base.deallocate()
    marked.deallocate()
  }

  var isEmpty: Bool { count == 0 }

  /// False if there are too many.
  ///
  /// - Parameter isHosts: the field is the host's own, and goes where plugins cannot.
  @discardableResult
  @inline(__always)
  func append(_ field: bh_field, isHosts: Bool = false) -> Bool {
    guard count < (isHosts ? capacity + reserve : capacity) else { return false }
    base[count] = field
    count += 1
    return true
  }

  /// Replaces the value of the first field of this very name. False if there is none.
  func replaceValue(of name: bh_bytes, by value: bh_bytes) -> Bool {
    for index in 0..<count where base[index].name.equals(name) {
      base[index].value = value
      return true
    }
    return false
  }

  /// Removes each field of this name.
  func remove(_ name: bh_bytes) { removeAll { $0.name.equalsIgnoringCase(name) } }

  @inline(__always)
  func removeAll(where isUnwanted: (bh_field) -> Bool) {
    var kept = 0
    for index in 0..<count where !isUnwanted(base[index]) {
      if kept != index { base[kept] = base[index] }
      kept += 1
    }
    count = kept
  }

  func removeAll() { count = 0 }

  /// Remembers the fields as they are.
  @inline(__always)
  func mark() {
    markedCount = count
    if count > 0 { marked.update(from: base, count: count) }
  }

  /// Makes the fields what they were at `mark`.
  func restore() {
    count = markedCount
    base.update(from: marked, count: count)
  }

  /// The fields at `mark`; whoever changes the fields since does not touch them.
  var atMark: UnsafeBufferPointer<bh_field> { UnsafeBufferPointer(start: marked, count: markedCount) }

  subscript(index: Int) -> bh_field { base[index] }

  func makeIterator() -> UnsafeBufferPointer<bh_field>.Iterator {
    UnsafeBufferPointer(start: base, count: count).makeIterator()
  }
}
