/// What other threads ask of a loop.
enum LoopMessage {
  case startAccepting
  /// A connection that was begun elsewhere: by the worker before, or by a probe.
  case adopt(PassedConnection)
  /// Pass connections on to the next worker, as they become idle.
  case handOver(HandOver)
  /// The worker before has no more to pass on; a loop that only waited for that can end.
  case adoptionEnded
  /// It stopped for the others' sake.
  case goOn(Connection)
  case handled(Connection)
  case pulled(Connection)
  /// Its handler waits for the body, or has room for more of it.
  case bodyWanted(Connection)
  /// A thread that ran the connection's handler, or a call of no connection, will not come back.
  case lost(Connection?, FaultFrame)
  case drain
  /// Says that it hears.
  case beat(Int)
  case end
}
