/// What epoll(7) is told to say of each connection of a loop, and whom it means.
///
/// A tag stands for one element for ever: once that is removed, the tag names nobody, though its place may be another's. The
/// kernel goes on reporting a descriptor that was closed as long as any process has the open file, be it a child that a
/// plugin has forked; and what it reports must not be taken for the address of memory that was given back.
struct TagTable<Element: AnyObject> {
  /// All below are the caller's own.
  static var firstTag: UInt64 { 1024 }

  private struct Place {
    /// Not retained: whoever adds an element removes it before it lets go of it.
    var element: Unmanaged<Element>?
    var generation: UInt32 = 0
  }

  private var places: [Place] = []
  private var free: [Int] = []

  /// - Returns: the element's tag, from `firstTag` on.
  mutating func add(_ element: Element) -> UInt64 {
    let index: Int
    if let last = free.popLast() {
      index = last
    } else {
      index = places.count
      places.append(Place())
    }
    places[index].element = Unmanaged.passUnretained(element)
    return UInt64(places[index].generation) << 32 | UInt64(index) + Self.firstTag
  }

  mutating func remove(_ tag: UInt64) {
    guard let index = index(of: tag) else { return }
    places[index].element = nil
    places[index].generation &+= 1
    free.append(index)
  }

  subscript(tag: UInt64) -> Element? {
    index(of: tag).flatMap { places[$0].element?.takeUnretainedValue() }
  }

  private func index(of tag: UInt64) -> Int? {
    let low = tag & 0xffff_ffff
    guard low >= Self.firstTag, low - Self.firstTag < UInt64(places.count) else { return nil }
    let index = Int(low - Self.firstTag)
    let place = places[index]
    return place.element != nil && UInt64(place.generation) == tag >> 32 ? index : nil
  }
}
