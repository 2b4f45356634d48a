extension Plugin {
  /// True if it is middleware whose `applies-to` covers requests of this access (nil: without a route).
  ///
  /// A library that did not load does not say what it is. It counts as middleware, and answers in its scope as its
  /// `on-failure` says, unless its section has a mount and no scope: then it reads as a router, whose mount answers
  /// 503, and the rest of the host is none of its business.
  func applies(to access: Access?) -> Bool {
    if library == nil {
      guard configuration.mount == nil || configuration.declaresScope else { return false }
    } else if capabilities.isDisjoint(with: [.request, .response]) {
      return false
    }
    switch (configuration.appliesTo, access) {
    case (.all, _): return true
    case (_, nil): return false
    case (.routes, _): return true
    case (.protected, let access?): return access != .public
    case (.public, let access?): return access == .public
    }
  }

  /// Seconds until a client may try again: the next half-open probe, or a while if none is planned.
  var retryAfter: Int {
    let now = Clock.monotonic()
    return quarantine.withLock { $0.retryAfter(at: now) }
  }
}
