/// Whether the operator has taken the host out of readiness, for a balancer to send its clients elsewhere: all else is
/// served as before.
enum Draining: String, Sendable, CaseIterable { case on, off }
