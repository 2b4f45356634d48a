import Foundation
import PluginTesting

/// An OpenAPI description that exchanges are held against.
public struct Contract: Sendable {
  /// One request and its answer.
  public struct Exchange: Sendable {
    public var method: String
    /// Path and query.
    public var target: String
    public var requestBody: [UInt8]
    public var status: Int
    public var headers: [(name: String, value: String)]
    public var body: [UInt8]

    public init(
      method: String, target: String, requestBody: [UInt8], status: Int,
      headers: [(name: String, value: String)], body: [UInt8]
    ) {
      self.method = method
      self.target = target
      self.requestBody = requestBody
      self.status = status
      self.headers = headers
      self.body = body
    }

    func header(_ name: String) -> String? {
      headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }
    var mediaType: String {
      (header("content-type") ?? "").prefix { $0 != ";" }.lowercased().trimmingCharacters(in: .whitespaces)
    }
  }

  public let document: JSONValue
  private let base: String
  private let answers: SchemaValidator
  private let requests: SchemaValidator

  public init(_ document: JSONValue) {
    self.document = document
    base = document["servers"][0]["url"].string ?? ""
    answers = SchemaValidator(document: document, isClosed: true)
    requests = SchemaValidator(document: document, isClosed: false)
  }

  /// `GET /api/v1/projects/{id}`, for every operation.
  public var operations: [String] {
    document["paths"].object.flatMap { path, item in
      item.object.keys.filter { Self.methods.contains($0) }.map { "\($0.uppercased()) \(base)\(path)" }
    }.sorted()
  }

  static let methods: Set = ["get", "put", "post", "delete", "patch"]

  /// What is wrong with an exchange by the description, one line each.
  ///
  /// - Returns: Empty if nothing is, or if no operation has this path and method: that is the host's to answer.
  public func violations(_ exchange: Exchange) -> [String] {
    let (path, query) = Self.split(exchange.target)
    guard let operation = operation(exchange.method, path) else { return [] }
    let name = "\(exchange.method) \(exchange.target.prefix(100)) → \(exchange.status)"
    guard
      let response = operation["responses"].object["\(exchange.status)"]?.followed(in: document)
    else { return ["\(name): this status is not described"] }
    var errors = headerErrors(exchange, response) + bodyErrors(exchange, response)
    if 200..<300 ~= exchange.status { errors += requestErrors(exchange, operation, query) }
    return errors.map { "\(name): \($0)" }
  }

  private func headerErrors(_ exchange: Exchange, _ response: JSONValue) -> [String] {
    response["headers"].object.flatMap { name, header -> [String] in
      guard let header = header.followed(in: document) else { return ["no such header component: \(name)"] }
      guard let value = exchange.header(name) else {
        return header["required"].bool == true ? ["\(name) is missing"] : []
      }
      return answers.errors(.string(value), header["schema"], at: name)
    }
  }

  private func bodyErrors(_ exchange: Exchange, _ response: JSONValue) -> [String] {
    let content = response["content"].object
    guard !content.isEmpty else {
      return exchange.body.isEmpty ? [] : ["there is a body, and none is described"]
    }
    guard let media = content[exchange.mediaType] else { return ["'\(exchange.mediaType)' is not described"] }
    guard let schema = media.object["schema"] else { return [] }
    guard exchange.mediaType.hasSuffix("json") else {
      return answers.errors(.string(String(decoding: exchange.body, as: UTF8.self)), schema)
    }
    do {
      return answers.errors(try JSONValue(parsing: exchange.body), schema)
    } catch {
      return ["the body is no JSON: \(error)"]
    }
  }

  /// What was accepted must be what the description would have let a client send.
  private func requestErrors(_ exchange: Exchange, _ operation: JSONValue, _ query: String) -> [String] {
    var errors: [String] = []
    let body = operation["requestBody"]
    if let schema = body["content"].object["application/json"]?.object["schema"] {
      do {
        errors += requests.errors(try JSONValue(parsing: exchange.requestBody), schema, at: "request")
      } catch {
        errors.append("the request's body is no JSON, and was accepted")
      }
    }
    for parameter in operation["parameters"].array.compactMap({ $0.followed(in: document) })
    where parameter["in"].string == "query" {
      let name = parameter["name"].string ?? ""
      guard
        let text = URLComponents(string: "?\(query)")?.queryItems?.first(where: { $0.name == name })?.value
      else { continue }
      let type = parameter["schema"]["type"].string
      let value: JSONValue =
        switch type {
        case "integer": Double(text).map { .number($0) } ?? .string(text)
        case "boolean": Bool(text).map { .boolean($0) } ?? .string(text)
        default: .string(text)
        }
      // An empty one is taken as none.
      if !text.isEmpty { errors += requests.errors(value, parameter["schema"], at: name) }
    }
    return errors
  }

  /// The operation of a path; text goes before a parameter. HEAD is GET's.
  private func operation(_ method: String, _ path: String) -> JSONValue? {
    guard path.hasPrefix(base) else { return nil }
    let segments = path.dropFirst(base.count).split(separator: "/")
    let fitting = document["paths"].object.filter { template, _ in
      let parts = template.split(separator: "/")
      return parts.count == segments.count
        && zip(parts, segments).allSatisfy { $0.hasPrefix("{") || $0 == $1 }
    }
    let item = fitting.min { one, other in
      one.key.count { $0 == "{" } < other.key.count { $0 == "{" }
    }
    return item?.value.object[method.lowercased()]
  }

  private static func split(_ target: String) -> (path: String, query: String) {
    let path = String(target.prefix { $0 != "?" })
    return (path, String(target.dropFirst(path.count + 1)))
  }
}
