import Glibc

/// How many descriptors, and with them connections, this process may have open (getrlimit(2)).
enum OpenFileLimit {
  /// Raises the soft limit, 1024 by custom for the sake of select(2), to the hard one. The limit as it then is; nil if it
  /// cannot be told.
  @discardableResult
  static func raise() -> Int? {
    var limit = rlimit()
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    guard getrlimit(resource, &limit) == 0 else { return nil }
    let soft = limit.rlim_cur
    limit.rlim_cur = limit.rlim_max
    if setrlimit(resource, &limit) != 0 { limit.rlim_cur = soft }
    return Int(clamping: limit.rlim_cur)
  }
}
