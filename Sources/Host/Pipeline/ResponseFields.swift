/// The response's header fields, in order, in memory that is never moved: a thread that hangs in the middle of a plugin
/// leaves behind what another thread can read.
final class ResponseFields: Sequence {
  /// What plugins may add, and what the host needs for its own beyond that: CORS, problems, Allow.
  static let capacity = 64
  static let reserve = 32
  private let base = UnsafeMutablePointer<bh_field>.allocate(
    capacity: ResponseFields.capacity + ResponseFields.reserve)
  private(set) var count = 0
  /// The fields as `mark` found them.
  private let marked = UnsafeMutablePointer<bh_field>.allocate(
    capacity: ResponseFields.capacity + ResponseFields.reserve)
  private var markedCount = 0

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
    guard count < (isHosts ? ResponseFields.capacity + ResponseFields.reserve : ResponseFields.capacity)
    else {
      return false
    }
    base[count] = field
    count += 1
    return true
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
