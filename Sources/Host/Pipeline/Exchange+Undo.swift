import HTTPCodec

/// What a plugin's call may change and another must not inherit, should the call fail.
struct BeforeCall {
  var status: UInt32 = 0
  var hasIdentity = false
  var attributeCount = 0
  var isCORSDecided = false
  /// The body was replaced during the call; `bodyBefore` has the one before.
  var isBodyReplaced = false
}

/// A plugin that fails in the middle of its call leaves nothing behind: no half of a response, and above all no identity,
/// which it may have set before it looked at the rest of a token.
extension Exchange {
  /// The plugin is about to be called.
  @inline(__always)
  func beginCall(of plugin: Plugin) {
    current = plugin
    headers.mark()
    before = BeforeCall(
      status: status, hasIdentity: hasIdentity, attributeCount: attributes.count, isCORSDecided: isCORSDecided)
  }

  /// The plugin failed: the exchange is what it was before the call, but for attributes that were set anew.
  func undoCall() {
    headers.restore()
    status = before.status
    hasIdentity = before.hasIdentity
    isCORSDecided = before.isCORSDecided
    if attributes.count > before.attributeCount {
      attributes.removeLast(attributes.count - before.attributeCount)
    }
    if before.isBodyReplaced {
      swap(&body, &bodyBefore)
      before.isBodyReplaced = false
    }
  }

  /// Makes the body empty, to be written anew; what it was is kept while a plugin's call may have to be undone.
  func clearBody() {
    if current != nil, !before.isBodyReplaced {
      swap(&body, &bodyBefore)
      before.isBodyReplaced = true
    }
    body.removeAll()
  }
}
