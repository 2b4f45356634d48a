/// Writes PNG images (https://www.w3.org/TR/png-3/) of up to 256 colours, a byte a pixel.
///
/// The image data is in stored blocks (RFC 1951 section 3.2.4): no compression, so a file is as large as its pixels.
struct PNG {
  let width: Int
  let height: Int
  /// Up to 256 colours, 0xRRGGBB.
  let palette: [UInt32]
  /// Texts for who looks inside, by keyword: Latin letters only in the keyword.
  var texts: [(keyword: String, text: String)] = []

  /// The file.
  /// - Parameter pixels: `width * height` indices into the palette, row by row.
  func encode(_ pixels: [UInt8]) -> [UInt8] {
    precondition(pixels.count == width * height && width > 0 && !palette.isEmpty && palette.count <= 256)
    var file: [UInt8] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]
    file.reserveCapacity(pixels.count + pixels.count / 8192 + 4096)
    // Bit depth 8, colour type 3 (indexed), deflate, adaptive filters, not interlaced.
    append("IHDR", bigEndian(UInt32(width)) + bigEndian(UInt32(height)) + [8, 3, 0, 0, 0], to: &file)
    append(
      "PLTE", palette.flatMap { [UInt8($0 >> 16 & 0xff), UInt8($0 >> 8 & 0xff), UInt8($0 & 0xff)] },
      to: &file)
    for (keyword, text) in texts {
      // Not compressed, no language, no translated keyword.
      append("iTXt", [UInt8](keyword.utf8) + [0, 0, 0, 0, 0] + [UInt8](text.utf8), to: &file)
    }
    append("IDAT", zlib(scanlines(pixels)), to: &file)
    append("IEND", [], to: &file)
    return file
  }

  /// Each row after its filter's type, 0: none.
  private func scanlines(_ pixels: [UInt8]) -> [UInt8] {
    var lines: [UInt8] = []
    lines.reserveCapacity((width + 1) * height)
    for row in 0..<height {
      lines.append(0)
      lines.append(contentsOf: pixels[row * width..<(row + 1) * width])
    }
    return lines
  }

  /// A zlib stream (RFC 1950) of stored blocks.
  private func zlib(_ data: [UInt8]) -> [UInt8] {
    var stream: [UInt8] = [0x78, 0x01]
    stream.reserveCapacity(data.count + data.count / 8192 + 16)
    var start = 0
    while start < data.count {
      let count = min(65_535, data.count - start)
      let isLast = start + count == data.count
      stream += [
        isLast ? 1 : 0, UInt8(count & 0xff), UInt8(count >> 8), UInt8(~count & 0xff),
        UInt8(~count >> 8 & 0xff),
      ]
      stream.append(contentsOf: data[start..<start + count])
      start += count
    }
    return stream + bigEndian(Checksum.adler32(data))
  }

  private func append(_ type: String, _ data: [UInt8], to file: inout [UInt8]) {
    let typed = [UInt8](type.utf8) + data
    file += bigEndian(UInt32(data.count))
    file += typed
    file += bigEndian(Checksum.crc32(typed))
  }

  private func bigEndian(_ value: UInt32) -> [UInt8] {
    [UInt8(value >> 24), UInt8(value >> 16 & 0xff), UInt8(value >> 8 & 0xff), UInt8(value & 0xff)]
  }
}

/// Checksums against accidents, not against anybody.
enum Checksum {
  /// PNG's own: https://www.w3.org/TR/png-3/#D-CRCAppendix
  static func crc32(_ bytes: [UInt8]) -> UInt32 {
    var crc: UInt32 = 0xffff_ffff
    for byte in bytes { crc = table[Int((crc ^ UInt32(byte)) & 0xff)] ^ (crc >> 8) }
    return crc ^ 0xffff_ffff
  }

  /// RFC 1950 section 8.2. Sums are reduced before they can overflow 32 bits, every 5552 bytes.
  static func adler32(_ bytes: [UInt8]) -> UInt32 {
    var low: UInt32 = 1
    var high: UInt32 = 0
    var index = 0
    while index < bytes.count {
      let end = min(index + 5552, bytes.count)
      while index < end {
        low &+= UInt32(bytes[index])
        high &+= low
        index += 1
      }
      low %= 65_521
      high %= 65_521
    }
    return high << 16 | low
  }

  private static let table: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? 0xedb8_8320 ^ (value >> 1) : value >> 1 }
  }
}
