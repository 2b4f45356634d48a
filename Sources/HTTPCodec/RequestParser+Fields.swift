// The field lines (RFC 9112 section 5), up to the blank line.
extension RequestParser {
  /// Reads field lines from `position` on; false when the bytes run out before the blank line.
  mutating func parseFields(
    _ base: UnsafeRawPointer, _ end: Int, _ head: inout RequestHead
  ) throws(RequestError) -> Bool {
    var offset = position
    while true {
      if state == .fieldStart {
        guard offset < end else { return false }
        let octet = base.load(fromByteOffset: offset, as: UInt8.self)
        if octet == Octets.carriageReturn {
          state = .lastLineFeed
          offset &+= 1
        } else {
          guard Octets.isIn(.token, octet) else { throw Self.fieldStartError(octet) }
          guard head.fields.count < limits.maxFields else { throw .tooManyFields }
          nameStart = offset
          state = .fieldName
        }
      }
      if state == .fieldName {
        offset = Octets.skipFieldName(base, offset, end)
        guard offset < end else { return false }
        guard base.load(fromByteOffset: offset, as: UInt8.self) == UInt8(ascii: ":") else {
          throw .malformedFieldName
        }
        nameEnd = offset
        offset &+= 1
        state = .valueStart
      }
      if state == .valueStart {
        while offset < end, Self.isWhitespace(base.load(fromByteOffset: offset, as: UInt8.self)) {
          offset &+= 1
        }
        guard offset < end else { return false }
        mark = offset
        state = .value
      }
      if state == .value {
        offset = Octets.skipFieldValue(base, offset, end)
        guard offset < end else { return false }
        let octet = base.load(fromByteOffset: offset, as: UInt8.self)
        guard octet == Octets.carriageReturn else {
          throw octet == Octets.lineFeed ? .bareLineFeed : .malformedFieldValue
        }
        valueEnd = offset
        while valueEnd > mark, Self.isWhitespace(base.load(fromByteOffset: valueEnd &- 1, as: UInt8.self)) {
          valueEnd &-= 1
        }
        offset &+= 1
        state = .fieldLineFeed
      }
      guard offset < end else { return false }
      guard base.load(fromByteOffset: offset, as: UInt8.self) == Octets.lineFeed else {
        throw .bareCarriageReturn
      }
      offset &+= 1
      if state == .lastLineFeed {
        head.count = offset
        try finish(&head)
        reset()
        return true
      }
      try finishField(base, &head)
      state = .fieldStart
    }
  }

  @inline(__always)
  static func isWhitespace(_ octet: UInt8) -> Bool {
    octet == Octets.space || octet == Octets.horizontalTab
  }

  @inline(never)
  static func fieldStartError(_ octet: UInt8) -> RequestError {
    switch octet {
    case Octets.space, Octets.horizontalTab: .foldedField
    case UInt8(ascii: ":"): .emptyFieldName
    case Octets.lineFeed: .bareLineFeed
    default: .malformedFieldName
    }
  }

  /// Keeps the field that has just ended, and heeds what it says.
  @inline(__always)
  private mutating func finishField(
    _ base: UnsafeRawPointer, _ head: inout RequestHead
  ) throws(RequestError) {
    let value = ByteRange(from: mark, to: valueEnd)
    head.fields.append(FieldRange(name: ByteRange(from: nameStart, to: nameEnd), value: value))
    switch FieldName.recognize(base + nameStart, nameEnd &- nameStart) {
    case .unknown: return
    case .known(let known):
      guard head.note(known, at: head.fields.count &- 1) else { return try Self.checkRepeated(known) }
    case .host: try heedHost(base, value, &head)
    case .contentLength: try heedContentLength(base, value, &head)
    case .transferEncoding: try heedTransferEncoding(base, value, &head)
    case .connection: try heedConnection(base, value)
    case .expect: heedExpect(base, value)
    }
  }

  /// What can only be judged once all fields are known, or is only said then.
  @inline(__always)
  private mutating func finish(_ head: inout RequestHead) throws(RequestError) {
    if head.versionMinor == 1 {
      guard seen.contains(.host) else { throw .missingHost }
      head.isKeepAlive = !seen.contains(.close)
    } else {
      head.isKeepAlive = seen.contains(.keepAlive) && !seen.contains(.close)
    }
    if case .length(let length) = head.framing, length > limits.maxBody || length == Int.max {
      throw .bodyTooLarge
    }
    guard !seen.contains(.otherExpectation) else { throw .unsupportedExpectation }
    if seen.contains(.expectContinue), head.versionMinor == 1 {
      head.expectsContinue = head.framing != .none && head.framing != .length(0)
    }
  }
}
