import HTTPClient
import JSONBodies

/// Has images made by an endpoint: posts the job, and takes, fetches or waits for its result. See `README.md`.
struct HTTPGenerationProvider: GenerationProvider {
  let provider: RemoteProvider
  /// For one run of a job, all requests and waits included.
  let timeout: Duration
  /// In bytes.
  let maxImage: Int

  static let accept =
    (ImageFormat.allCases.map(\.mediaType) + ["application/json"]).joined(separator: ", ")

  /// The first and the longest wait between two looks at a job, unless the provider says otherwise.
  private static let pollWaits = (first: Duration.milliseconds(250), longest: Duration.seconds(5))
  private static let longestRetryAfter = Duration.seconds(30)

  func image(
    for generation: Generation, model: Model, checkpoint: () throws -> Void
  ) throws -> GeneratedImage {
    do {
      return try run(GenerationOrder(generation), checkpoint)
    } catch let error as HTTPClientError {
      let failure = GenerationFailure(reason: "generation provider: \(error)")
      guard error.isTransient else { throw failure }
      throw GenerationFailure(reason: failure.reason, message: Self.unavailable)
    } catch let error as HTTPService.Unavailable {
      throw GenerationFailure(reason: "generation provider: \(error)", message: Self.unavailable)
    }
  }

  private static let unavailable = "The image provider is not available; the credits are refunded."

  private func run(_ order: GenerationOrder, _ checkpoint: () throws -> Void) throws -> GeneratedImage {
    let deadline = ContinuousClock.now + timeout
    var answer = try GenerationAnswer(
      try provider.post(
        try JSONText.encode(order), key: order.id, accept: Self.accept,
        within: try remaining(until: deadline), checkpoint: checkpoint),
      from: provider)
    var wait = Self.pollWaits.first
    while true {
      switch answer {
      case .image(let bytes, let mediaType):
        return try accept(bytes, mediaType)
      case .media(let url):
        let response = try provider.get(
          url, accept: Self.accept, within: try remaining(until: deadline), checkpoint: checkpoint)
        guard response.status == 200 else {
          throw GenerationFailure(reason: "media_url answers \(response.status)")
        }
        return try accept(response.body, response.mediaType)
      case .pending(let url, let retryAfter):
        let pause = min(retryAfter ?? wait, Self.longestRetryAfter)
        wait = min(wait * 2, Self.pollWaits.longest)
        try provider.pause(min(pause, try remaining(until: deadline)), checkpoint: checkpoint)
        answer = try GenerationAnswer(
          try provider.get(
            url, accept: Self.accept, within: try remaining(until: deadline), checkpoint: checkpoint),
          from: provider)
      }
    }
  }

  private func remaining(until deadline: ContinuousClock.Instant) throws -> Duration {
    let left = deadline - ContinuousClock.now
    guard left > .milliseconds(1) else {
      throw GenerationFailure(
        reason: "generation provider: not done within \(timeout)",
        message: "The image took too long; the credits are refunded.")
    }
    return left
  }

  /// Believes the bytes, and no declaration that contradicts them.
  private func accept(_ bytes: [UInt8], _ mediaType: String) throws -> GeneratedImage {
    guard bytes.count <= maxImage else {
      throw GenerationFailure(reason: "the provider's image has \(bytes.count) bytes")
    }
    guard let format = ImageFormat(of: bytes) else {
      throw GenerationFailure(reason: "what the provider sent is no image (\(mediaType))")
    }
    guard ["", "application/octet-stream", "binary/octet-stream", format.mediaType].contains(mediaType) else {
      throw GenerationFailure(reason: "the provider's \(mediaType) is \(format.mediaType)")
    }
    return GeneratedImage(bytes: bytes, format: format)
  }
}
