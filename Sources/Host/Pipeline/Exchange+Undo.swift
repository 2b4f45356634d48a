import HTTPCodec

/// What a plugin's call may change and another must not inherit, should the call fail.
struct BeforeCall {
  var status: UInt32 = 0
  var hasIdentity = false
  var isCORSDecided = false
  /// The body was replaced during the call; `bodyBefore` has the one before.
  var isBodyReplaced = false
  var stream: bh_stream_source?
}

/// A plugin that fails in the middle of its call leaves nothing behind: no half of a response, and above all no identity,
/// which it may have set before it looked at the rest of a token.
extension Exchange {
  /// The plugin is about to be called.
  @inline(__always)
  func beginCall(of plugin: Plugin) {
    current = plugin
    headers.mark()
    attributes.mark()
    before = BeforeCall(
      status: status, hasIdentity: hasIdentity,
      isCORSDecided: isCORSDecided,
      stream: stream)
  }

  /// The plugin failed: the exchange is what it was before the call.
  func undoCall() {
    headers.restore()
    attributes.restore()
    status = before.status
    hasIdentity = before.hasIdentity
    isCORSDecided = before.isCORSDecided
    if before.isBodyReplaced {
      swap(&body, &bodyBefore)
      before.isBodyReplaced = false
    }
    if before.stream == nil {
      dropStream()
    } else if stream == nil {
      stream = droppedStreams.popLast()
    }
  }

  /// The body will not come from the stream that the handler opened. It is released on the pool: the release is the
  /// plugin's code, too.
  func dropStream() {
    guard let source = stream else { return }
    stream = nil
    droppedStreams.append(source)
  }

  /// Makes the body empty, to be written anew; what it was is kept while a plugin's call may have to be undone.
  func clearBody() {
    dropStream()
    if current != nil, !before.isBodyReplaced {
      swap(&body, &bodyBefore)
      before.isBodyReplaced = true
    }
    body.removeAll()
  }
}
