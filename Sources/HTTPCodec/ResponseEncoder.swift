/// Writes HTTP/1.1 responses (RFC 9112 sections 4 to 7) to the end of a buffer.
///
/// Checks nothing: what comes from a plugin or a client must have passed `FieldSyntax` before it is written.
public enum ResponseEncoder {
  /// Writes `HTTP/1.1 200 OK` and its CRLF.
  ///
  /// - Parameter status: 100 to 999. One without a standard phrase gets an empty one.
  @inlinable
  public static func statusLine(_ status: Int, into buffer: inout ByteBuffer) {
    if status == 200 {
      buffer.append("HTTP/1.1 200 OK\r\n")
    } else {
      uncommonStatusLine(status, into: &buffer)
    }
  }

  @usableFromInline
  static func uncommonStatusLine(_ status: Int, into buffer: inout ByteBuffer) {
    buffer.append("HTTP/1.1 ")
    buffer.append(decimal: status)
    buffer.append(byte: Octets.space)
    buffer.append(reasonPhrase(status))
    buffer.append("\r\n")
  }

  /// Writes a field line.
  ///
  /// - Parameters:
  ///   - name: A token.
  ///   - value: A field value.
  @inlinable
  public static func field(
    _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, into buffer: inout ByteBuffer
  ) {
    buffer.append(name)
    buffer.append(": ")
    buffer.append(value)
    buffer.append("\r\n")
  }

  /// Writes a field line whose name is known when the code is compiled.
  @inlinable
  public static func field(
    _ name: StaticString, _ value: UnsafeRawBufferPointer, into buffer: inout ByteBuffer
  ) {
    buffer.append(name)
    buffer.append(": ")
    buffer.append(value)
    buffer.append("\r\n")
  }

  /// Writes a field line that is all known when the code is compiled.
  @inlinable
  public static func field(_ name: StaticString, _ value: StaticString, into buffer: inout ByteBuffer) {
    buffer.append(name)
    buffer.append(": ")
    buffer.append(value)
    buffer.append("\r\n")
  }

  /// Writes a Content-Length field.
  ///
  /// - Parameter length: 0 or more.
  @inlinable
  public static func contentLength(_ length: Int, into buffer: inout ByteBuffer) {
    buffer.append("Content-Length: ")
    buffer.append(decimal: length)
    buffer.append("\r\n")
  }

  /// Writes the blank line that ends a head.
  @inlinable
  public static func endOfHead(into buffer: inout ByteBuffer) {
    buffer.append("\r\n")
  }

  /// Writes a chunk. No bytes write nothing: an empty chunk would end the body.
  @inlinable
  public static func chunk(_ bytes: UnsafeRawBufferPointer, into buffer: inout ByteBuffer) {
    guard !bytes.isEmpty else { return }
    buffer.append(hexadecimal: bytes.count)
    buffer.append("\r\n")
    buffer.append(bytes)
    buffer.append("\r\n")
  }

  /// Writes the chunk that ends a body, without trailers.
  @inlinable
  public static func lastChunk(into buffer: inout ByteBuffer) {
    buffer.append("0\r\n\r\n")
  }
}
