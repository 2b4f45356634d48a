import JSONBodies
import SQL

/// One generation, as clients see it, and what the server keeps besides.
struct Generation: Encodable, Sendable {
  enum Status: String, Encodable, Sendable, CaseIterable {
    case pending, processing, completed, failed, cancelled

    var isEnded: Bool { self == .completed || self == .failed || self == .cancelled }
  }

  struct Parameters: Encodable, Sendable, Equatable {
    var width: Int
    var height: Int
    var seed: Int64
  }

  let id: String
  let userID: String
  @ExplicitNull var projectID: String?
  let modelID: String
  let prompt: String
  @ExplicitNull var negativePrompt: String?
  let parameters: Parameters
  let status: Status
  let cost: Int64
  @ExplicitNull var mediaURL: String?
  @ExplicitNull var mediaType: String?
  @ExplicitNull var errorMessage: String?
  let isFavorite: Bool
  /// From the beginning of the last run to its end, in seconds.
  @ExplicitNull var processingTime: Double?
  let createdAt: String
  let updatedAt: String
  @ExplicitNull var completedAt: String?

  /// Counts changes. Not shown.
  let version: Int64
  /// Its name in the media store. Not shown.
  let mediaFile: String?
  /// How often it has been run. Not shown.
  let attempts: Int64

  var tag: EntityTag { EntityTag(version: version) }

  static let columns = """
    id, user_id, project_id, model_id, prompt, negative_prompt, width, height, seed, status, cost, media_file,
    media_type, error_message, is_favorite, attempts, started_at, version, created_at, updated_at, completed_at
    """

  /// - Parameter mount: Where the API is, for `media_url`.
  init(_ row: Row, mount: String) throws {
    let id = try row.text("id")
    self.id = id
    userID = try row.text("user_id")
    projectID = try row.optionalText("project_id")
    modelID = try row.text("model_id")
    prompt = try row.text("prompt")
    let negative = try row.text("negative_prompt")
    negativePrompt = negative.isEmpty ? nil : negative
    parameters = Parameters(
      width: Int(try row.integer("width")), height: Int(try row.integer("height")),
      seed: try row.integer("seed"))
    let word = try row.text("status")
    guard let status = Status(rawValue: word) else { throw UnknownStatus(word: word) }
    self.status = status
    cost = try row.integer("cost")
    mediaFile = try row.optionalText("media_file")
    mediaURL = status == .completed ? "\(mount)/generations/\(id)/media" : nil
    mediaType = try row.optionalText("media_type")
    errorMessage = try row.optionalText("error_message")
    isFavorite = try row.flag("is_favorite")
    attempts = try row.integer("attempts")
    let completed = try row.optionalInteger("completed_at")
    if let begun = try row.optionalInteger("started_at"), let completed, status != .cancelled {
      processingTime = Double(completed - begun) / 1000
    } else {
      processingTime = nil
    }
    createdAt = Timestamp.rfc3339(milliseconds: try row.integer("created_at"))
    updatedAt = Timestamp.rfc3339(milliseconds: try row.integer("updated_at"))
    completedAt = completed.map { Timestamp.rfc3339(milliseconds: $0) }
    version = try row.integer("version")
  }

  private enum CodingKeys: String, CodingKey {
    case id, prompt, parameters, status, cost
    case userID = "user_id"
    case projectID = "project_id"
    case modelID = "model_id"
    case negativePrompt = "negative_prompt"
    case mediaURL = "media_url"
    case mediaType = "media_type"
    case errorMessage = "error_message"
    case isFavorite = "is_favorite"
    case processingTime = "processing_time"
    case createdAt = "created_at"
    case updatedAt = "updated_at"
    case completedAt = "completed_at"
  }
}

struct UnknownStatus: Error { let word: String }

/// What a client asks for.
struct GenerationRequest: Sendable {
  var model: Model
  var prompt: String
  var negativePrompt: String
  var width: Int
  var height: Int
  /// nil: one is drawn.
  var seed: Int64?
  var projectID: String?
}

/// What a user has generated.
struct GenerationStatistics: Encodable, Sendable {
  let total, pending, processing, completed, failed, cancelled, favorites: Int64
  /// On completed generations.
  let creditsSpent: Int64
  /// Of completed generations, in seconds; null if there are none.
  @ExplicitNull var averageProcessingTime: Double?

  private enum CodingKeys: String, CodingKey {
    case total, pending, processing, completed, failed, cancelled, favorites
    case creditsSpent = "credits_spent"
    case averageProcessingTime = "average_processing_time"
  }
}
