import JSONBodies
import PluginAPI

/// `/projects`.
struct ProjectRoutes {
  let domain: Domain

  func add(to routes: inout Routes) {
    routes.get("projects/_ping", access: .public, execution: .onLoop) { _ in
      .json("{\"status\":\"ok\",\"service\":\"projects\"}")
    }
    routes.get("projects", access: .authenticated, execution: .blocking, list())
    routes.post("projects", access: .authenticated, execution: .blocking, create())
    routes.get("projects/{id}", access: .authenticated, execution: .blocking, show())
    routes.put("projects/{id}", access: .authenticated, execution: .blocking, update())
    routes.patch("projects/{id}", access: .authenticated, execution: .blocking, update())
    routes.delete("projects/{id}", access: .authenticated, execution: .blocking, delete())
    routes.get("projects/{id}/stats", access: .authenticated, execution: .blocking, statistics())
  }

  static let notFound = Problem.notFound("There is no such project.", code: "project-not-found")

  private func list() -> Routes.Handler {
    domain.handler { [domain] request, user in
      var reader = QueryReader(request)
      let page = reader.page()
      var query = ProjectTable.Query()
      query.search = reader.string("search", length: 0...200).flatMap { $0.isEmpty ? nil : $0 }
      query.visibility = reader.choice("visibility", of: Project.visibilities)
      query.tag = reader.string("tag", length: 0...40).flatMap { $0.isEmpty ? nil : $0 }
      query.sort = reader.choice("sort", of: ["created_at", "updated_at", "name"]) ?? query.sort
      // Names read from A to Z, times from the latest, unless the client says otherwise.
      query.isAscending =
        (reader.choice("order", of: ["asc", "desc"]) ?? (query.sort == "name" ? "asc" : "desc")) == "asc"
      try reader.check()
      let projects = try domain.store.read { [query] in
        try ProjectTable(session: $0).list(of: user, query, page: page)
      }
      let items = try projects.items.map { try $0.json() }
      return .json(try JSONFragment(Page(items, total: projects.total, of: page)))
    }
  }

  private func create() -> Routes.Handler {
    domain.postHandler(
      reading: { request in
        var body = try FieldReader(request)
        return try ProjectFields(&body, requiresName: true)
      },
      performing: { [mount = domain.mount] fields, user, session in
        guard let name = fields.name else { throw Problem.unprocessable("A name is required.") }
        let table = ProjectTable(session: session)
        let id = try table.create(fields, named: name, by: user)
        guard let project = try table.find(id, of: user) else { throw Self.notFound }
        return .json(
          try project.json(), status: 201,
          headers: [project.tag.header, (name: "Location", value: "\(mount)/projects/\(id)")])
      })
  }

  private func show() -> Routes.Handler {
    domain.handler { [domain] request, user in
      let id = try Self.id(of: request)
      guard let project = try domain.store.read({ try ProjectTable(session: $0).find(id, visibleTo: user) })
      else { throw Self.notFound }
      if project.tag.isKnown(ifNoneMatch: request.headers.list("if-none-match")) {
        return Response(status: 304, headers: [project.tag.header])
      }
      return .json(try project.json(), headers: [project.tag.header])
    }
  }

  private func update() -> Routes.Handler {
    domain.handler { [domain] request, user in
      let id = try Self.id(of: request)
      var body = try FieldReader(request)
      let fields = try ProjectFields(&body, requiresName: false)
      let ifMatch = request.headers.list("if-match")
      let project = try domain.store.write { session in
        let table = ProjectTable(session: session)
        guard let project = try table.find(id, of: user, lock: .update) else { throw Self.notFound }
        try project.tag.check(ifMatch: ifMatch)
        try table.update(project, with: fields)
        guard let updated = try table.find(id, of: user) else { throw Self.notFound }
        return updated
      }
      return .json(try project.json(), headers: [project.tag.header])
    }
  }

  private func delete() -> Routes.Handler {
    domain.handler { [domain] request, user in
      let id = try Self.id(of: request)
      let ifMatch = request.headers.list("if-match")
      try domain.store.write { session in
        let table = ProjectTable(session: session)
        guard let project = try table.find(id, of: user, lock: .update) else { throw Self.notFound }
        try project.tag.check(ifMatch: ifMatch)
        try table.delete(id)
      }
      return .noContent()
    }
  }

  private func statistics() -> Routes.Handler {
    domain.handler { [domain] request, user in
      let id = try Self.id(of: request)
      let statistics = try domain.store.read { session in
        let table = ProjectTable(session: session)
        guard try table.find(id, visibleTo: user) != nil, let statistics = try table.statistics(of: id)
        else { throw Self.notFound }
        return statistics
      }
      return try .json(statistics)
    }
  }

  /// What is no UUID is no project's id.
  private static func id(of request: borrowing Request) throws -> String {
    guard let id = request[parameter: "id"].flatMap(Identifier.canonical) else { throw notFound }
    return id
  }
}
