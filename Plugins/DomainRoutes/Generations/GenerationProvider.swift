/// Makes images: on this machine, or elsewhere. Any thread.
protocol GenerationProvider: Sendable {
  /// - Parameters:
  ///   - generation: What is asked for. Its id is the same at each attempt.
  ///   - model: Of the generation.
  ///   - checkpoint: To be called often; what it throws ends the work.
  /// - Throws: `GenerationFailure`, and what `checkpoint` throws.
  func image(
    for generation: Generation, model: Model, checkpoint: () throws -> Void
  ) throws -> GeneratedImage
}

struct GeneratedImage: Sendable, Equatable {
  let bytes: [UInt8]
  let format: ImageFormat
}

/// There will be no image: the generation fails, and is refunded.
struct GenerationFailure: Error, CustomStringConvertible {
  /// For the log.
  let reason: String
  /// For the user.
  var message = "The image could not be made; the credits are refunded."

  var description: String { reason }
}

/// The formats that are taken, by their first bytes: what a browser shows.
enum ImageFormat: String, Sendable, CaseIterable {
  case png, jpeg, webp

  /// nil: it is none of them.
  init?(of bytes: [UInt8]) {
    func has(_ signature: [UInt8], at offset: Int = 0) -> Bool {
      bytes.dropFirst(offset).starts(with: signature)
    }
    if has([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]) {
      self = .png
    } else if has([0xff, 0xd8, 0xff]) {
      self = .jpeg
    } else if has(Array("RIFF".utf8)), has(Array("WEBP".utf8), at: 8) {
      self = .webp
    } else {
      return nil
    }
  }

  var mediaType: String { "image/\(rawValue)" }
  var fileExtension: String { rawValue }
}

/// Draws on this machine.
struct LocalProvider: GenerationProvider {
  func image(
    for generation: Generation, model: Model, checkpoint: () throws -> Void
  ) throws -> GeneratedImage {
    let input = LocalRenderer.Input(
      modelID: model.id, style: model.style, prompt: generation.prompt,
      negativePrompt: generation.negativePrompt ?? "", width: generation.parameters.width,
      height: generation.parameters.height, seed: generation.parameters.seed)
    return GeneratedImage(
      bytes: try LocalRenderer.render(input, checkpoint: checkpoint), format: .png)
  }
}
