import JSONBodies

/// `/generations` for the API's description.
enum GenerationOperations {
  private static let notFound = [404: ["generation-not-found"]]

  static let all: [APIOperation] = [
    .ping("generations"),
    APIOperation(
      method: "GET", path: "generations/models/supported", id: "listModels",
      summary: "The models that can be asked for, with price and parameters.", access: .anybody,
      answers: [.json(200, .object(["models": .array(of: .named("Model"))]), "The models.")]),
    APIOperation(
      method: "GET", path: "generations", id: "listGenerations",
      summary: "The user's generations, newest first.",
      parameters: APIOperation.Parameter.page + [
        .query("project_id", .uuid, "Only those of this project."),
        .query(
          "status", .string(of: Generation.Status.allCases.map(\.rawValue)), "Only those of this status."),
        .query("favorite", .boolean, "Only favourites, or only others."),
      ],
      answers: [.json(200, .named("GenerationPage"), "One page.")]),
    APIOperation(
      method: "POST", path: "generations", id: "createGeneration",
      summary:
        "Asks for an image; its cost is reserved, spent when it completes, and refunded when it does not.",
      body: .named("GenerationRequest"), isKeyed: true,
      answers: [.json(202, .named("Generation"), "Accepted.", headers: ["ETag", "Location"])],
      refusals: [402: ["insufficient-credits"], 404: ["project-not-found"]]),
    APIOperation(
      method: "GET", path: "generations/stats", id: "getGenerationStatistics",
      summary: "What the user has generated.",
      answers: [.json(200, .named("GenerationStatistics"), "The statistics.")]),
    APIOperation(
      method: "GET", path: "generations/{id}", id: "getGeneration", summary: "One generation.",
      parameters: [.id, .ifNoneMatch],
      answers: [
        .json(200, .named("Generation"), "The generation.", headers: ["ETag"]),
        .empty(304, "The client has it already.", headers: ["ETag"]),
      ], refusals: notFound),
    APIOperation(
      method: "PATCH", path: "generations/{id}", id: "patchGeneration",
      summary: "Marks a generation as a favourite.",
      parameters: [.id, .ifMatch], body: .object(["is_favorite": .boolean]),
      answers: [.json(200, .named("Generation"), "The generation as it is now.", headers: ["ETag"])],
      refusals: notFound),
    APIOperation(
      method: "DELETE", path: "generations/{id}", id: "deleteGeneration",
      summary: "Deletes a generation and its image; one that has not ended is refunded.",
      parameters: [.id, .ifMatch],
      answers: [.empty(204, "It is gone.")], refusals: notFound),
    APIOperation(
      method: "POST", path: "generations/{id}/cancel", id: "cancelGeneration",
      summary: "Ends a generation that has not ended, and refunds it.", parameters: [.id], isKeyed: true,
      answers: [.json(200, .named("Generation"), "It is cancelled.", headers: ["ETag"])],
      refusals: [404: ["generation-not-found"], 409: ["generation-ended"]]),
    APIOperation(
      method: "GET", path: "generations/{id}/media", id: "getGenerationMedia", summary: "The image.",
      parameters: [.id, .ifNoneMatch],
      answers: [
        .init(
          status: 200, summary: "The image.", mediaTypes: ImageFormat.allCases.map(\.mediaType),
          headers: ["ETag"]),
        .empty(304, "The client has it already.", headers: ["ETag"]),
      ],
      refusals: [404: ["generation-not-found", "media-not-available"]]),
    APIOperation(
      method: "GET", path: "generations/{id}/events", id: "watchGeneration",
      summary:
        "Server-sent events until the generation ends: `status` with the Generation at each change, `deleted`.",
      parameters: [
        .id,
        .init(
          name: "Last-Event-ID", place: .header, schema: .string(),
          summary: "Sent by an EventSource that comes back."),
      ],
      answers: [
        .init(status: 200, summary: "The events.", mediaTypes: ["text/event-stream"], schema: .string()),
        .empty(204, "There is nothing more to come."),
      ], refusals: notFound),
  ]

  private static let sides = Model.sides.lowerBound...Model.sides.upperBound
  private static let seeds = Model.seeds.lowerBound...Model.seeds.upperBound
  private static let parameter = JSONSchema.object(
    ["type": .string(of: ["integer"]), "minimum": .count, "maximum": .count, "default": .count],
    optional: ["default"])

  static let schemas: [String: JSONSchema] = [
    "Generation": .object([
      "id": .uuid, "user_id": .userID, "project_id": .uuid.orNull, "model_id": .string(length: 1...64),
      "prompt": .string(length: 1...2000), "negative_prompt": .string(length: 1...1000).orNull,
      "parameters": .object([
        "width": .integer(sides), "height": .integer(sides), "seed": .integer(seeds),
      ]),
      "status": .string(of: Generation.Status.allCases.map(\.rawValue)),
      "cost": .count.described("In credits."),
      "media_url": .string(format: "uri-reference").orNull,
      "media_type": .string(of: ImageFormat.allCases.map(\.mediaType)).orNull,
      "error_message": .string().orNull, "is_favorite": .boolean,
      "processing_time": JSONSchema.seconds.orNull.described("In seconds."),
      "created_at": .timestamp, "updated_at": .timestamp, "completed_at": .timestamp.orNull,
    ]),
    "GenerationPage": APIDocument.page(of: "Generation"),
    "GenerationRequest": .object(
      [
        "model_id": .string(length: 1...64), "prompt": .string(length: 1...2000),
        "negative_prompt": .string(length: 0...1000).orNull,
        "parameters": JSONSchema.object(
          [
            "width": .integer(sides).orNull, "height": .integer(sides).orNull,
            "seed": .integer(seeds).orNull.described("Missing: one is drawn."),
          ], optional: ["width", "height", "seed"]
        ).orNull.described("The model has limits of its own."),
        "project_id": .uuid.orNull,
      ], optional: ["negative_prompt", "parameters", "project_id"]),
    "GenerationStatistics": .object([
      "total": .count, "pending": .count, "processing": .count, "completed": .count, "failed": .count,
      "cancelled": .count, "favorites": .count, "credits_spent": .count,
      "average_processing_time": JSONSchema.seconds.orNull.described("In seconds."),
    ]),
    "Model": .object([
      "id": .string(length: 1...64), "model_id": .string(length: 1...64), "name": .string(),
      "price": .count.described("In credits."),
      "media_type": .string().described("`image/*` if the provider chooses."),
      "parameters": .object(["width": parameter, "height": parameter, "seed": parameter]),
    ]),
  ]
}
