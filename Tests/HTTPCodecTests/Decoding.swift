import HTTPCodec

enum DecodeOutcome: Equatable {
  case incomplete(payload: String)
  case refused(RequestError)
  case decoded(payload: String, rest: String)
}

/// Decodes a chunked body as it arrives when cut at the given offsets.
///
/// - Parameters:
///   - removingFraming: Whether the caller cuts decoded framing out of its memory after every call.
///   - takingPayload: Whether it takes the payload away, too.
func decode(
  _ bytes: [UInt8], maxBody: Int = 1_048_576, maxTrailer: Int = 8192, cutAt cuts: [Int] = [],
  removingFraming: Bool = false, takingPayload: Bool = false
) -> DecodeOutcome {
  var decoder = ChunkedDecoder(maxBody: maxBody, maxTrailer: maxTrailer)
  var region: [UInt8] = []
  var taken: [UInt8] = []
  var received = 0
  for end in cuts + [bytes.count] {
    region += bytes[received..<end]
    received = end
    do throws(RequestError) {
      if try decode(&region, with: &decoder) {
        let rest = region[decoder.consumedCount...] + bytes[received...]
        return .decoded(
          payload: String(decoding: taken + region[..<decoder.decodedCount], as: UTF8.self),
          rest: String(decoding: rest, as: UTF8.self))
      }
    } catch {
      return .refused(error)
    }
    if takingPayload {
      taken += region[..<decoder.decodedCount]
      region.removeSubrange(..<decoder.consumedCount)
      decoder.payloadWasTaken()
    } else if removingFraming {
      region.removeSubrange(decoder.decodedCount..<decoder.consumedCount)
      decoder.framingWasRemoved()
    }
  }
  return .incomplete(
    payload: String(decoding: taken + region[..<decoder.decodedCount], as: UTF8.self))
}

private func decode(
  _ region: inout [UInt8], with decoder: inout ChunkedDecoder
) throws(RequestError) -> Bool {
  let result = region.withUnsafeMutableBytes { bytes in
    Result { () throws(RequestError) in try decoder.decode(bytes) }
  }
  return try result.get()
}

enum NormalizeOutcome: Equatable {
  case refused(RequestError)
  case normalized(String)
}

/// Normalises a path, having checked that `isNormal` agrees with what comes out.
func normalize(_ path: String) -> NormalizeOutcome {
  var output = [UInt8](repeating: 0xAA, count: max(path.utf8.count, 1))
  return Array(path.utf8).withUnsafeBytes { raw in
    output.withUnsafeMutableBytes { output in
      do throws(RequestError) {
        let count = try PathNormalizer.normalize(raw, into: output)
        return .normalized(String(decoding: output[..<count], as: UTF8.self))
      } catch {
        return .refused(error)
      }
    }
  }
}

func isNormal(_ path: String) -> Bool {
  Array(path.utf8).withUnsafeBytes { PathNormalizer.isNormal($0) }
}
