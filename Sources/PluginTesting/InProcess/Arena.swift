import PluginABI

/// Memory that lives as long as one call or one request: everything that is lent to a plugin points in here.
final class Arena {
  private var blocks: [UnsafeMutableRawPointer] = []

  deinit { for block in blocks { block.deallocate() } }

  /// A copy of bytes.
  func bytes(_ source: UnsafeRawBufferPointer) -> bh_bytes {
    guard !source.isEmpty else { return bh_bytes(data: nil, count: 0) }
    let copy = allocate(byteCount: source.count, alignment: 1)
    copy.copyMemory(from: UnsafeRawPointer(source.baseAddress.unsafelyUnwrapped), byteCount: source.count)
    return bh_bytes(data: UnsafePointer(copy.assumingMemoryBound(to: CChar.self)), count: source.count)
  }

  func bytes(_ text: String) -> bh_bytes { Array(text.utf8).withUnsafeBytes { bytes($0) } }

  func bytes(_ array: [UInt8]) -> bh_bytes { array.withUnsafeBytes { bytes($0) } }

  func bytes(_ view: bh_bytes) -> bh_bytes { bytes(view.view) }

  /// A NUL-terminated copy.
  func cString(_ text: String) -> UnsafePointer<CChar> {
    let copy = bytes(Array(text.utf8) + [0])
    return copy.data
  }

  /// A copy of an array; null if it is empty.
  func array<T>(_ elements: [T]) -> UnsafePointer<T>? {
    guard !elements.isEmpty else { return nil }
    let size = MemoryLayout<T>.stride * elements.count
    let copy = allocate(byteCount: size, alignment: MemoryLayout<T>.alignment).bindMemory(
      to: T.self, capacity: elements.count)
    copy.initialize(from: elements, count: elements.count)
    return UnsafePointer(copy)
  }

  func value<T>(_ value: T) -> UnsafePointer<T> { array([value]).unsafelyUnwrapped }

  private func allocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawPointer {
    let block = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: alignment)
    blocks.append(block)
    return block
  }
}

extension bh_bytes {
  var view: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: data, count: count) }
  var text: String { String(decoding: view, as: UTF8.self) }
  var copy: [UInt8] { [UInt8](view) }
}
