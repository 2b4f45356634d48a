/// ASCII, as HTTP and origins are written in it.

/// True for the characters of a token (RFC 9110 section 5.6.2).
@inline(__always)
func isTokenCharacter(_ byte: UInt8) -> Bool {
  switch byte {
  case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
    UInt8(ascii: "0")...UInt8(ascii: "9"):
    true
  case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"),
    UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
    UInt8(ascii: "^"), UInt8(ascii: "_"), UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
    true
  default: false
  }
}

func isToken(_ bytes: some Collection<UInt8>) -> Bool {
  !bytes.isEmpty && bytes.allSatisfy(isTokenCharacter)
}

@inline(__always)
func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

@inline(__always)
func lowercased(_ byte: UInt8) -> UInt8 {
  byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
}

@inline(__always)
func isEqual(_ a: Slice<UnsafeRawBufferPointer>, _ b: [UInt8]) -> Bool {
  a.count == b.count && a.elementsEqual(b)
}

/// Compares without case, as field names are (RFC 9110 section 5.1). `lowercase` is in lower case already.
@inline(__always)
func isEqualIgnoringCase(_ bytes: Slice<UnsafeRawBufferPointer>, _ lowercase: [UInt8]) -> Bool {
  guard bytes.count == lowercase.count else { return false }
  var index = bytes.startIndex
  for byte in lowercase {
    if lowercased(bytes[index]) != byte { return false }
    index += 1
  }
  return true
}

/// True if every element of a comma-separated list (RFC 9110 section 5.6.1, empty elements skipped) holds.
func allElements(
  of list: UnsafeRawBufferPointer, satisfy holds: (Slice<UnsafeRawBufferPointer>) -> Bool
) -> Bool {
  var start = 0
  while start < list.count {
    var end = start
    while end < list.count, list[end] != UInt8(ascii: ",") { end += 1 }
    var element = list[start..<end]
    while let byte = element.first, byte == 0x20 || byte == 0x09 { element.removeFirst() }
    while let byte = element.last, byte == 0x20 || byte == 0x09 { element.removeLast() }
    if !element.isEmpty, !holds(element) { return false }
    start = end + 1
  }
  return true
}

/// What stands before and after the first `separator`; nil if there is none.
///
/// The standard library's own searches for text live in _StringProcessing, which the host does without: it would load
/// the whole of the regular expressions.
func parts(of text: Substring, around separator: String) -> (before: Substring, after: Substring)? {
  var index = text.startIndex
  while index < text.endIndex {
    if text[index...].hasPrefix(separator) {
      return (text[..<index], text[index...].dropFirst(separator.count))
    }
    index = text.index(after: index)
  }
  return nil
}
