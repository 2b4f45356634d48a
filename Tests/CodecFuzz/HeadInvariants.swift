import HTTPCodec

/// What must hold for every head that the parser accepts, worked out anew from its bytes.
enum HeadInvariants {
  static func equal(_ a: RequestHead, _ b: RequestHead) -> Bool {
    a.method == b.method && a.methodName == b.methodName && a.target == b.target && a.path == b.path
      && a.query == b.query && a.authority == b.authority && a.versionMinor == b.versionMinor
      && a.isKeepAlive == b.isKeepAlive && a.expectsContinue == b.expectsContinue && a.framing == b.framing
      && a.fields == b.fields && a.count == b.count
      && KnownField.allCases.allSatisfy { a.first($0) == b.first($0) }
  }

  static func check(
    _ head: RequestHead, _ bytes: UnsafeRawBufferPointer, _ limits: CodecLimits
  ) -> String? {
    guard head.count <= bytes.count, head.count <= limits.maxHead else {
      return "the head ends beyond its bytes"
    }
    let part = UnsafeRawBufferPointer(rebasing: bytes[..<head.count])
    guard lines(part) == head.fields.count + 2 else { return "lines and fields do not agree" }
    return checkRanges(head, part, limits) ?? checkFields(head, part) ?? checkFraming(head, part)
  }

  /// The number of lines from the first that is not empty on, or nil if a CR or LF stands alone.
  private static func lines(_ head: UnsafeRawBufferPointer) -> Int? {
    var lines = 0
    var isEmpty = true
    for (index, octet) in head.enumerated() {
      if octet == 0x0D {
        guard index + 1 < head.count, head[index + 1] == 0x0A else { return nil }
      } else if octet == 0x0A {
        guard index > 0, head[index - 1] == 0x0D else { return nil }
        if lines > 0 || !isEmpty { lines += 1 }
      } else {
        isEmpty = false
      }
    }
    return lines
  }

  private static func checkRanges(
    _ head: RequestHead, _ bytes: UnsafeRawBufferPointer, _ limits: CodecLimits
  ) -> String? {
    for range in [head.methodName, head.target, head.path, head.query, head.authority]
    where !isInside(range, bytes) {
      return "\(range) is out of bounds"
    }
    guard head.target.count > 0, head.target.count <= limits.maxTarget else {
      return "the target is too long"
    }
    guard head.path.count == 0 || head.path.start >= head.target.start, head.path.end <= head.target.end,
      head.query.count == 0 || (head.query.end == head.target.end && bytes[head.query.start - 1] == 0x3F)
    else { return "path or query are not in the target" }
    guard head.target.bytes(in: bytes).allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x23 }) else {
      return "the target has a character that it must not have"
    }
    let path = head.path.bytes(in: bytes)
    let isAsterisk = path.count == 1 && path[0] == 0x2A && head.method == .options && head.target.count == 1
    guard path.isEmpty || path[0] == 0x2F || isAsterisk else { return "the path has no slash" }
    return nil
  }

  private static func isInside(_ range: ByteRange, _ bytes: UnsafeRawBufferPointer) -> Bool {
    range.start >= 0 && range.count >= 0 && range.start + range.count <= bytes.count
  }

  private static func checkFields(_ head: RequestHead, _ bytes: UnsafeRawBufferPointer) -> String? {
    var end = head.target.end
    for field in head.fields {
      guard isInside(field.name, bytes), isInside(field.value, bytes) else {
        return "a field is out of bounds"
      }
      guard field.name.start >= end, field.value.start > field.name.end else { return "fields overlap" }
      end = field.value.end
      let value = field.value.bytes(in: bytes)
      guard FieldSyntax.isToken(field.name.bytes(in: bytes)), FieldSyntax.isFieldValue(value) else {
        return "a field is malformed"
      }
      if let first = value.first, let last = value.last,
        [0x20, 0x09].contains(first) || [0x20, 0x09].contains(last)
      {
        return "a value has whitespace around it"
      }
    }
    return nil
  }

  private static func checkFraming(_ head: RequestHead, _ bytes: UnsafeRawBufferPointer) -> String? {
    let hosts = values(of: "host", head, bytes)
    guard hosts.count == 1 || (hosts.isEmpty && head.versionMinor == 0) else { return "\(hosts.count) hosts" }
    guard hosts.allSatisfy(FieldSyntax.isWellFormedHost) else { return "a malformed host" }
    let authority = head.authority.bytes(in: bytes)
    guard FieldSyntax.isWellFormedHost(authority) || (authority.isEmpty && hosts.isEmpty) else {
      return "a malformed authority"
    }
    let lengths = values(of: "content-length", head, bytes)
    let codings = values(of: "transfer-encoding", head, bytes)
    switch head.framing {
    case .none:
      return lengths.isEmpty && codings.isEmpty ? nil : "no body in spite of its framing"
    case .length(let length):
      guard codings.isEmpty, lengths.count == 1, let digits = lengths.first,
        digits.allSatisfy({ (0x30...0x39).contains($0) }),
        Int(String(decoding: digits, as: UTF8.self)) == length
      else { return "a length in spite of the fields" }
    case .chunked:
      guard lengths.isEmpty, codings.count == 1, head.versionMinor == 1,
        FieldSyntax.equalsIgnoringCase(codings[0], "chunked")
      else { return "chunked in spite of the fields" }
    }
    return nil
  }

  private static func values(
    of name: StaticString, _ head: RequestHead, _ bytes: UnsafeRawBufferPointer
  ) -> [UnsafeRawBufferPointer] {
    head.fields.lazy.filter { FieldSyntax.equalsIgnoringCase($0.name.bytes(in: bytes), name) }.map {
      $0.value.bytes(in: bytes)
    }
  }
}
