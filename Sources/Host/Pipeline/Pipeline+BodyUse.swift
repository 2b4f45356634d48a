import HTTPCodec

/// What is to be done with the body of a request, as far as head and route tell.
enum BodyUse {
  /// It is received whole before anything else happens.
  case whole
  /// The handler of the route reads it as it arrives; at most so many bytes.
  case streamed(limit: Int)
  /// The answer does not depend on it, and the client waits to be told whether to send it (RFC 9110 section 10.1.1).
  case none
}

extension Pipeline {
  /// The head of `x` is parsed, and no more; it has a body.
  func bodyUse(of x: Exchange) -> BodyUse {
    guard routes.longestStreamedBody >= 0 || x.head.expectsContinue else { return .whole }
    let path = x.bytes(x.head.path)
    if path.isEmpty { return bodyUse(of: x, path: bh_bytes("/")) }
    if PathNormalizer.isNormal(path.buffer) { return bodyUse(of: x, path: path) }
    return withUnsafeTemporaryAllocation(byteCount: path.count, alignment: 1) { normal in
      do throws(RequestError) {
        let count = try PathNormalizer.normalize(path.buffer, into: normal)
        return bodyUse(of: x, path: bh_bytes(UnsafeRawPointer(normal.baseAddress!), count))
      } catch {
        // It has no route, and is refused when its turn comes.
        return x.head.expectsContinue ? .none : .whole
      }
    }
  }

  private func bodyUse(of x: Exchange, path: bh_bytes) -> BodyUse {
    let isAwaited = x.head.expectsContinue
    if isAwaited, isBare || builtIns.answers(path) { return .none }
    let match = withUnsafeTemporaryAllocation(of: bh_bytes.self, capacity: Exchange.maxParameters) {
      routes.match(
        method: x.head.method.rawValue, name: x.bytes(x.head.methodName), path: path,
        parameters: $0.baseAddress!)
    }
    guard case .route(let route) = match else { return isAwaited ? .none : .whole }
    if let limit = route.streamedBodyLimit { return .streamed(limit: limit > 0 ? limit : maxBody) }
    return isAwaited && route.access != .public && !hasCredentials(x) ? .none : .whole
  }

  /// Whether the request has what an identity could be told from: a field, or a parameter of the query, that is named for
  /// a credential or looks like one.
  private func hasCredentials(_ x: Exchange) -> Bool {
    let query = x.bytes(x.head.query)
    return Redaction.isSecret(fieldNamed: query) || Redaction.isSecret(value: query)
      || x.head.fields.contains {
        Redaction.isSecret(fieldNamed: x.bytes($0.name)) || Redaction.isSecret(value: x.bytes($0.value))
      }
  }
}
