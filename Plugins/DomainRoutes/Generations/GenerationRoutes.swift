import JSONBodies
import PluginAPI

/// `/generations`.
struct GenerationRoutes {
  let domain: Domain

  func add(to routes: inout Routes) {
    routes.get("generations/_ping", access: .public, execution: .onLoop) { _ in
      .json("{\"status\":\"ok\",\"service\":\"generations\"}")
    }
    routes.get("generations/models/supported", access: .public, execution: .onLoop) { [domain] _ in
      try .json(ModelList(domain.models, mediaType: domain.mediaType))
    }
    routes.get("generations", access: .authenticated, execution: .blocking, list())
    routes.post("generations", access: .authenticated, execution: .blocking, create())
    routes.get("generations/stats", access: .authenticated, execution: .blocking, statistics())
    routes.get("generations/{id}", access: .authenticated, execution: .blocking, show())
    routes.patch("generations/{id}", access: .authenticated, execution: .blocking, update())
    routes.delete("generations/{id}", access: .authenticated, execution: .blocking, delete())
    routes.post("generations/{id}/cancel", access: .authenticated, execution: .blocking, cancel())
    routes.get("generations/{id}/media", access: .authenticated, execution: .blocking, media())
    routes.get("generations/{id}/events", access: .authenticated, execution: .blocking, events())
  }

  static let notFound = Problem.notFound("There is no such generation.", code: "generation-not-found")

  private func table(_ session: Session) -> GenerationTable {
    GenerationTable(session: session, mount: domain.mount)
  }

  private func list() -> Routes.Handler {
    domain.handler { request, user in
      var reader = QueryReader(request)
      let page = reader.page()
      let query = GenerationTable.Query(
        projectID: reader.uuid("project_id"),
        status: reader.choice("status", of: Generation.Status.allCases.map(\.rawValue)),
        isFavorite: reader.boolean("favorite"))
      try reader.check()
      let found = try domain.store.read { try table($0).list(of: user, query, page: page) }
      return try .json(Page(found.items, total: found.total, of: page))
    }
  }

  private func create() -> Routes.Handler {
    domain.postHandler(
      reading: { [models = domain.models] in try GenerationRequest($0, models: models) },
      performing: { [mount = domain.mount] request, user, session in
        if let project = request.projectID {
          guard try ProjectTable(session: session).find(project, of: user, lock: .share) != nil else {
            throw ProjectRoutes.notFound
          }
        }
        // 53 bits: what a client reads exactly, and can send again.
        let seed = request.seed ?? Int64.random(in: 0...Int64(Model.seeds.upperBound))
        let id: String
        do {
          id = try table(session).create(request, seed: seed, by: user)
        } catch Ledger.Refusal.insufficientCredits(let required, let available) {
          throw Problem(
            status: 402, code: "insufficient-credits",
            detail: "This generation costs \(required) credits; \(available) are available.",
            members: "\"required\":\(required),\"available\":\(available)")
        }
        guard let generation = try table(session).find(id, of: user) else { throw Self.notFound }
        return try .json(
          generation, status: 202,
          headers: [generation.tag.header, (name: "Location", value: "\(mount)/generations/\(id)")])
      },
      committed: { [workers = domain.workers] in workers.wake() })
  }

  private func show() -> Routes.Handler {
    domain.handler { request, user in
      let generation = try find(request, user)
      if generation.tag.isKnown(ifNoneMatch: request.headers.list("if-none-match")) {
        return Response(status: 304, headers: [generation.tag.header])
      }
      return try .json(generation, headers: [generation.tag.header])
    }
  }

  private func update() -> Routes.Handler {
    domain.handler { request, user in
      let id = try Self.id(of: request)
      var body = try FieldReader(request)
      let isFavorite = try body.require(body.boolean("is_favorite", required: true))
      let ifMatch = request.headers.list("if-match")
      let generation = try domain.store.write { session in
        guard let generation = try table(session).find(id, of: user, lock: .update) else {
          throw Self.notFound
        }
        try generation.tag.check(ifMatch: ifMatch)
        try table(session).setFavorite(isFavorite, of: id)
        guard let updated = try table(session).find(id, of: user) else { throw Self.notFound }
        return updated
      }
      return try .json(generation, headers: [generation.tag.header])
    }
  }

  private func delete() -> Routes.Handler {
    domain.handler { request, user in
      let id = try Self.id(of: request)
      let ifMatch = request.headers.list("if-match")
      let file = try domain.store.write { session in
        guard let generation = try table(session).find(id, of: user, lock: .update) else {
          throw Self.notFound
        }
        try generation.tag.check(ifMatch: ifMatch)
        try table(session).delete(id)
        return generation.mediaFile
      }
      if let file {
        do {
          try domain.media.remove(file)
        } catch let error as MediaError {
          // The generation is gone all the same; the file is nobody's any more.
          request.log(.warning, "a deleted generation's image is left behind: \(error)")
        }
      }
      return .noContent()
    }
  }

  private func cancel() -> Routes.Handler {
    domain.postHandler(
      reading: { try Self.id(of: $0) },
      performing: { id, user, session in
        guard try table(session).find(id, of: user) != nil else { throw Self.notFound }
        guard try table(session).cancel(id), let generation = try table(session).find(id, of: user) else {
          throw Problem.conflict("The generation has ended already.", code: "generation-ended")
        }
        return try .json(generation, headers: [generation.tag.header])
      })
  }

  private func media() -> Routes.Handler {
    domain.handler { request, user in
      let generation = try find(request, user)
      guard let file = generation.mediaFile, let type = generation.mediaType else {
        throw Problem.notFound(
          "The generation is \(generation.status.rawValue): it has no image.", code: "media-not-available")
      }
      // An image never changes once it is there.
      let tag = EntityTag(constant: generation.id)
      let headers = [
        tag.header, (name: "Cache-Control", value: "private, max-age=31536000, immutable"),
        (name: "X-Content-Type-Options", value: "nosniff"),
      ]
      if tag.isKnown(ifNoneMatch: request.headers.list("if-none-match")) {
        return Response(status: 304, headers: headers)
      }
      let body: Response.Body
      do {
        let file = try domain.media.open(file)
        body = file.size > 1 << 20 ? .stream(MediaStream(file)) : .bytes(try file.read(file.size, at: 0))
      } catch let error as MediaError {
        // One file that cannot be read must not take the plugin out.
        request.log(.error, "the image of generation \(generation.id) cannot be read: \(error)")
        throw Problem.unavailable("The image cannot be read now.", code: "media-unavailable")
      }
      return Response(
        headers: headers + [
          (name: "Content-Type", value: type),
          (
            name: "Content-Disposition",
            value: "inline; filename=\"\(generation.id).\(type.dropFirst("image/".count))\""
          ),
        ],
        body: body)
    }
  }

  private func events() -> Routes.Handler {
    domain.handler { request, user in
      let generation = try find(request, user)
      // Tells an EventSource that comes back after the last event that there is no more (HTML, 9.2.3).
      if generation.status.isEnded, request.headers["last-event-id"] == "\(generation.version)" {
        return .noContent()
      }
      return Response(
        headers: [
          (name: "Content-Type", value: "text/event-stream"), (name: "Cache-Control", value: "no-store"),
          (name: "X-Accel-Buffering", value: "no"),
        ],
        body: .stream(
          GenerationEvents(store: domain.store, mount: domain.mount, id: generation.id, user: user)))
    }
  }

  private func statistics() -> Routes.Handler {
    domain.handler { _, user in
      try .json(try domain.store.read { try table($0).statistics(of: user) })
    }
  }

  private func find(_ request: borrowing Request, _ user: String) throws -> Generation {
    let id = try Self.id(of: request)
    guard let generation = try domain.store.read({ try table($0).find(id, of: user) }) else {
      throw Self.notFound
    }
    return generation
  }

  /// What is no UUID is no generation's id.
  private static func id(of request: borrowing Request) throws -> String {
    guard let id = request[parameter: "id"].flatMap(Identifier.canonical) else { throw notFound }
    return id
  }
}

extension GenerationRequest {
  /// Reads and checks a request's body.
  /// - Throws: `Problem` 422 that names every error; as `FieldReader`.
  init(_ request: borrowing Request, models: ModelCatalogue) throws {
    var body = try FieldReader(request)
    let modelID = body.string("model_id", required: true, length: 1...64)
    let prompt = body.string("prompt", required: true, length: 1...2000)
    let negativePrompt = body.string("negative_prompt", length: 0...1000)
    let projectID = body.uuid("project_id")
    let model = modelID.flatMap { models[$0] }
    if modelID != nil, model == nil { body.reject("model_id", "is not a configured model") }
    var (width, height, seed): (Int?, Int?, Int?)
    body.fields(of: "parameters", maxBytes: 8192) { parameters in
      let smallest = Model.sides.lowerBound
      width = parameters.integer("width", range: smallest...(model?.maxWidth ?? Model.sides.upperBound))
      height = parameters.integer("height", range: smallest...(model?.maxHeight ?? Model.sides.upperBound))
      seed = parameters.integer("seed", range: Model.seeds)
    }
    let (checkedModel, checkedPrompt) = try body.require(model, prompt)
    self.init(
      model: checkedModel, prompt: checkedPrompt, negativePrompt: negativePrompt ?? "",
      width: width ?? checkedModel.defaultWidth, height: height ?? checkedModel.defaultHeight,
      seed: seed.map { Int64($0) }, projectID: projectID)
  }
}
