/// Deadlines of connections, to a tenth of a second.
///
/// A hashed wheel (Varghese and Lauck, 1987): every connection stands in the slot of its deadline, or in the farthest
/// one. To put a deadline off costs one store: the slot finds out when its time comes. All of a loop's open connections
/// are in its wheel.
final class TimerWheel {
  private static let slotCount = 512
  private static let tick: UInt64 = 100_000_000
  private let slots = UnsafeMutablePointer<Unmanaged<Connection>?>.allocate(capacity: TimerWheel.slotCount)
  /// The tick that is to be looked at next.
  private var nextTick: UInt64
  private var count = 0

  init(now: UInt64) {
    slots.initialize(repeating: nil, count: TimerWheel.slotCount)
    nextTick = now / TimerWheel.tick
  }

  deinit { slots.deallocate() }

  var isEmpty: Bool { count == 0 }

  /// Sets or moves the deadline of a connection.
  func set(_ connection: Connection, deadline: UInt64) {
    connection.deadline = deadline
    let wanted = deadline / TimerWheel.tick &+ 1
    if connection.timerSlot >= 0 {
      // Its slot comes up in time, or earlier: then it is put off there.
      if wanted >= connection.timerTick { return }
      unlink(connection)
    }
    link(connection, wanted)
  }

  func remove(_ connection: Connection) {
    if connection.timerSlot >= 0 { unlink(connection) }
  }

  /// Calls `expired` for each connection whose deadline has passed. It may set or remove any.
  func advance(to now: UInt64, _ expired: (Connection) -> Void) {
    let last = now / TimerWheel.tick
    guard nextTick <= last else { return }
    // After a long sleep, once around is enough.
    if last &- nextTick > UInt64(TimerWheel.slotCount) { nextTick = last &- UInt64(TimerWheel.slotCount) }
    while nextTick <= last {
      let slot = Int(nextTick % UInt64(TimerWheel.slotCount))
      nextTick &+= 1
      var due: [Connection] = []
      while let first = slots[slot] {
        let connection = first.takeUnretainedValue()
        unlink(connection)
        due.append(connection)
      }
      for connection in due where !connection.isClosed {
        if connection.deadline <= now {
          link(connection, last &+ 1)
          expired(connection)
        } else {
          link(connection, connection.deadline / TimerWheel.tick &+ 1)
        }
      }
    }
  }

  func visitAll(_ body: (Connection) -> Void) {
    var all: [Connection] = []
    for slot in 0..<TimerWheel.slotCount {
      var next = slots[slot]
      while let connection = next?.takeUnretainedValue() {
        all.append(connection)
        next = connection.timerNext
      }
    }
    for connection in all where !connection.isClosed { body(connection) }
  }

  private func link(_ connection: Connection, _ wanted: UInt64) {
    let tick = min(max(wanted, nextTick), nextTick &+ UInt64(TimerWheel.slotCount - 1))
    let slot = Int(tick % UInt64(TimerWheel.slotCount))
    connection.timerTick = tick
    connection.timerSlot = slot
    connection.timerPrevious = nil
    connection.timerNext = slots[slot]
    slots[slot]?.takeUnretainedValue().timerPrevious = Unmanaged.passUnretained(connection)
    slots[slot] = Unmanaged.passUnretained(connection)
    count += 1
  }

  private func unlink(_ connection: Connection) {
    if let previous = connection.timerPrevious {
      previous.takeUnretainedValue().timerNext = connection.timerNext
    } else {
      slots[connection.timerSlot] = connection.timerNext
    }
    connection.timerNext?.takeUnretainedValue().timerPrevious = connection.timerPrevious
    connection.timerSlot = -1
    connection.timerNext = nil
    connection.timerPrevious = nil
    count -= 1
  }
}
