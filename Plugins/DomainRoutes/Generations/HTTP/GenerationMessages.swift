import FoundationEssentials
import HTTPClient
import JSONBodies

/// A job as it is posted.
struct GenerationOrder: Encodable {
  let id: String
  let model: String
  let prompt: String
  @ExplicitNull var negativePrompt: String?
  let parameters: Generation.Parameters

  init(_ generation: Generation) {
    id = generation.id
    model = generation.modelID
    prompt = generation.prompt
    negativePrompt = generation.negativePrompt
    parameters = generation.parameters
  }

  private enum CodingKeys: String, CodingKey {
    case id, model, prompt, parameters
    case negativePrompt = "negative_prompt"
  }
}

/// What a provider has answered, to a post or to a look at a job.
enum GenerationAnswer: Equatable {
  case image([UInt8], mediaType: String)
  /// Where the image is.
  case media(WebAddress)
  /// Where to look again.
  case pending(WebAddress, retryAfter: Duration?)

  /// The JSON that a provider may answer with.
  private struct Body: Decodable {
    var status: String?
    var data: String?
    var mediaType: String?
    var mediaURL: String?
    var statusURL: String?
    var error: String?

    private enum CodingKeys: String, CodingKey {
      case status, data, error
      case mediaType = "media_type"
      case mediaURL = "media_url"
      case statusURL = "status_url"
    }
  }

  /// - Throws: `GenerationFailure` if there will be no image; `HTTPClientError` if it names an URL of another origin.
  init(_ response: ClientResponse, from provider: RemoteProvider) throws {
    let type = response.mediaType
    let isJSON = type == "application/json" || type.hasPrefix("application/") && type.hasSuffix("+json")
    switch response.status {
    case 200, 201, 202:
      if isJSON {
        self = try Self.read(response, from: provider)
      } else if response.status == 202 {
        self = .pending(try Self.location(of: response, from: provider), retryAfter: response.retryAfter)
      } else {
        guard type.hasPrefix("image/") || type.hasSuffix("/octet-stream") else {
          throw GenerationFailure(reason: "the provider answers \(response.status) with \(type)")
        }
        self = .image(response.body, mediaType: type)
      }
    case 303:
      self = .pending(try Self.location(of: response, from: provider), retryAfter: response.retryAfter)
    default:
      throw GenerationFailure(reason: "the generation provider answers \(response.status)")
    }
  }

  private static func read(
    _ response: ClientResponse, from provider: RemoteProvider
  ) throws -> GenerationAnswer {
    let body: Body
    do {
      body = try JSONText.decode(Body.self, from: response.body)
    } catch {
      throw GenerationFailure(reason: "the provider's JSON is not as agreed")
    }
    if body.status == "failed" {
      let shown = body.error.map(ProviderText.printable) ?? ""
      throw GenerationFailure(
        reason: "the provider failed: \(shown)",
        message: (shown.isEmpty ? "The image could not be made" : "The image could not be made: \(shown)")
          + "; the credits are refunded.")
    }
    if let text = body.data {
      guard let data = Data(base64Encoded: text) else {
        throw GenerationFailure(reason: "the provider's data is no base64")
      }
      return .image([UInt8](data), mediaType: body.mediaType ?? "")
    }
    if let media = body.mediaURL { return .media(try provider.address(media, relativeTo: response.url)) }
    let isPending = response.status == 202 || ["pending", "processing"].contains(body.status)
    guard isPending else { throw GenerationFailure(reason: "the provider's JSON names no image") }
    if let status = body.statusURL {
      return .pending(
        try provider.address(status, relativeTo: response.url), retryAfter: response.retryAfter)
    }
    return .pending(try location(of: response, from: provider), retryAfter: response.retryAfter)
  }

  /// Where `Location` says; a look at a job that says nothing is repeated.
  private static func location(
    of response: ClientResponse, from provider: RemoteProvider
  ) throws -> WebAddress {
    if let location = response.header("location") {
      return try provider.address(location, relativeTo: response.url)
    }
    guard response.url != provider.endpoint else {
      throw GenerationFailure(reason: "the provider does not say where to look for the job")
    }
    return response.url
  }
}
