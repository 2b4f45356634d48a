import LinuxShims

/// What a plugin has left behind that is not its own, in words that complete "it …".
enum Tampering {
  static let mask = "blocked the signals of faults, or took their stack away: leave both as they were"

  /// - Parameter left: as `FaultFrame.leave` returns it.
  static func text(_ left: UInt32) -> String? {
    if left & UInt32(GUARD_LEFT_EXCEPTIONS) != 0 {
      return "left floating-point exceptions that trap: put them back before it returns (fedisableexcept(3))"
    }
    if left & UInt32(GUARD_LEFT_FLAGS) != 0 {
      return "left the direction flag or alignment checks set, which the calling convention forbids"
    }
    return nil
  }
}
