import PluginTesting

extension Contract {
  /// What is wrong with the description itself, by OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0): what it lacks,
  /// references to nothing, parameters that the path does not have, ids that are there twice, unknown keywords.
  public func documentErrors() -> [String] {
    var errors: [String] = []
    if document["openapi"].string?.hasPrefix("3.1.") != true { errors.append("openapi is not 3.1") }
    for name in ["title", "version"] where document["info"][name].string == nil {
      errors.append("info lacks \(name)")
    }
    errors += referenceErrors(document, at: "#")
    let tags = Set(document["tags"].array.compactMap { $0["name"].string })
    let schemes = Set(document["components"]["securitySchemes"].object.keys)
    var ids: Set<String> = []
    for (path, item) in document["paths"].object {
      if !path.hasPrefix("/") { errors.append("\(path) does not begin with /") }
      for (method, operation) in item.object {
        let name = "\(method) \(path)"
        guard Self.methods.contains(method) else {
          errors.append("\(name): no such method")
          continue
        }
        errors += operationErrors(operation, path: path).map { "\(name): \($0)" }
        if let id = operation["operationId"].string, !ids.insert(id).inserted { errors.append("\(id) twice") }
        for tag in operation["tags"].array.compactMap(\.string) where !tags.contains(tag) {
          errors.append("\(name): the tag \(tag) is not described")
        }
        let security = operation.object["security"] ?? document["security"]
        for scheme in security.array.flatMap(\.object.keys) where !schemes.contains(scheme) {
          errors.append("\(name): there is no security scheme \(scheme)")
        }
      }
    }
    for (name, schema) in document["components"]["schemas"].object {
      errors += schemaErrors(schema, at: name)
    }
    return errors.sorted()
  }

  private func operationErrors(_ operation: JSONValue, path: String) -> [String] {
    var errors: [String] = []
    if operation["operationId"].string == nil { errors.append("no operationId") }
    let parameters = operation["parameters"].array.compactMap { $0.followed(in: document) }
    var names: Set<String> = []
    for parameter in parameters {
      let name = "\(parameter["in"].string ?? "?") \(parameter["name"].string ?? "?")"
      if !["query", "header", "path"].contains(parameter["in"].string) {
        errors.append("\(name): no such place")
      }
      if !names.insert(name).inserted { errors.append("\(name) is there twice") }
      if parameter["in"].string == "path", parameter["required"].bool != true {
        errors.append("\(name) is not required")
      }
      errors += schemaErrors(parameter["schema"], at: name)
    }
    let inPath = Set(
      path.split(separator: "/").filter { $0.hasPrefix("{") }.map { "path \($0.dropFirst().dropLast())" })
    let described = names.filter { $0.hasPrefix("path ") }
    if inPath != described {
      errors.append("the path has \(inPath.sorted()), described are \(described.sorted())")
    }
    if let content = operation.object["requestBody"]?["content"].object {
      for (type, media) in content { errors += schemaErrors(media["schema"], at: "body \(type)") }
    }
    let responses = operation["responses"].object
    if !responses.keys.contains(where: { $0.hasPrefix("2") }) { errors.append("no answer of success") }
    for (status, response) in responses {
      if status != "default", Int(status) == nil { errors.append("\(status) is no status") }
      guard let response = response.followed(in: document) else { continue }
      if response["description"].string == nil { errors.append("\(status) lacks a description") }
      for (type, media) in response["content"].object {
        if let schema = media.object["schema"] { errors += schemaErrors(schema, at: "\(status) \(type)") }
      }
    }
    return errors
  }

  private func referenceErrors(_ value: JSONValue, at path: String) -> [String] {
    switch value {
    case .object(let members):
      var errors = members.flatMap { referenceErrors($0.value, at: "\(path)/\($0.key)") }
      if let reference = members["$ref"]?.string, document.resolve(reference) == nil {
        errors.append("\(path) refers to \(reference), which is not there")
      }
      return errors
    case .array(let items): return items.flatMap { referenceErrors($0, at: path) }
    default: return []
    }
  }

  private func schemaErrors(_ schema: JSONValue, at path: String) -> [String] {
    if case .boolean = schema { return [] }
    guard case .object(let rules) = schema, !rules.isEmpty else { return ["\(path): no schema"] }
    var errors = rules.keys.filter {
      !SchemaValidator.keywords.contains($0) && !SchemaValidator.annotations.contains($0)
    }.map { "\(path): the keyword \($0) is not known" }
    let types = ["null", "boolean", "object", "array", "number", "string", "integer"]
    let stated = rules["type"].map { $0.string.map { [$0] } ?? $0.array.compactMap(\.string) } ?? []
    for type in stated where !types.contains(type) { errors.append("\(path): there is no type \(type)") }
    let properties = rules["properties"]?.object ?? [:]
    if rules["type"] != nil {
      for name in (rules["required"]?.array ?? []).compactMap(\.string) where properties[name] == nil {
        errors.append("\(path): \(name) is required, and not described")
      }
    }
    if let format = rules["format"]?.string, Format.isValid("", as: format) == nil {
      errors.append("\(path): the format \(format) is not known")
    }
    for (name, property) in properties { errors += schemaErrors(property, at: "\(path).\(name)") }
    if let items = rules["items"] { errors += schemaErrors(items, at: "\(path)[]") }
    for name in ["allOf", "anyOf", "oneOf"] {
      for part in rules[name]?.array ?? [] { errors += schemaErrors(part, at: path) }
    }
    return errors
  }
}
