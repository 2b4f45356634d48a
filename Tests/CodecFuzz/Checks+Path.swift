import HTTPCodec

extension Checks {
  /// A normal path stays as it is, is never longer than what it came from, and has no dot segments.
  func checkPath(_ path: UnsafeRawBufferPointer) -> String? {
    withUnsafeTemporaryAllocation(byteCount: 2 * (path.count + 1), alignment: 1) { memory in
      let first = UnsafeMutableRawBufferPointer(rebasing: memory[..<(path.count + 1)])
      let second = UnsafeMutableRawBufferPointer(rebasing: memory[(path.count + 1)...])
      guard let count = normalized(path, first) else {
        return PathNormalizer.isNormal(path) ? "a refused path is normal" : nil
      }
      guard count <= max(path.count, 1) else { return "a path grows" }
      let normal = UnsafeRawBufferPointer(rebasing: first[..<count])
      guard PathNormalizer.isNormal(path) == path.elementsEqual(normal) else {
        return "isNormal and normalize differ"
      }
      guard PathNormalizer.isNormal(normal) else { return "a normalised path is not normal" }
      guard normalized(normal, second) == count, normal.elementsEqual(second[..<count]) else {
        return "normalising again changes a path"
      }
      return isClean(normal) ? nil : "a normalised path has dot segments, empty ones, or decodable escapes"
    }
  }

  private func normalized(_ path: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer) -> Int? {
    do throws(RequestError) {
      return try PathNormalizer.normalize(path, into: output)
    } catch {
      return nil
    }
  }

  private func isClean(_ path: UnsafeRawBufferPointer) -> Bool {
    let text = String(decoding: path, as: UTF8.self)
    if text == "*" { return true }
    let segments = text.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
    return text.hasPrefix("/") && !segments.dropLast().contains("") && !segments.contains(".")
      && !segments.contains("..")
      && !["%2F", "%2E", "%00", "%40", "%3A", "%7C"].contains { text.contains($0) }
  }
}
