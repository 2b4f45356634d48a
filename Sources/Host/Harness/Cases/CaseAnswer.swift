/// What came of one request.
struct CaseAnswer: Sendable, Equatable {
  var status: Int
  /// In the order received.
  var fields: [Step.Field]
  /// Transfer coding removed.
  var body: [UInt8]
  var took: Duration

  /// Every value of a field; names are compared without case.
  func values(of name: String) -> [String] {
    fields.filter { $0.name.lowercased() == name.lowercased() }.map(\.value)
  }

  var text: String { String(decoding: body, as: UTF8.self) }

  /// For a message: status, fields, and the beginning of the body.
  var shown: String {
    let head = fields.map { "\n\($0.name): \($0.value)" }.joined()
    let end = body.count > 2000 ? "… (\(body.count) bytes)" : ""
    return "HTTP \(status)\(head)\n\n\(String(decoding: body.prefix(2000), as: UTF8.self))\(end)"
  }
}

extension JSONValue {
  /// A member by its path: names divided by dots, `[0]` for an item of an array; nil if there is none.
  func member(at path: String) -> JSONValue? {
    var value = self
    for part in path.split(separator: ".") {
      let pieces = part.split(separator: "[")
      if !part.hasPrefix("["), let name = pieces.first {
        guard let found = value.members.first(where: { $0.name == name }) else { return nil }
        value = found.value
      }
      for piece in part.hasPrefix("[") ? pieces[...] : pieces.dropFirst() {
        guard piece.hasSuffix("]"), let index = Int(piece.dropLast()), index >= 0, index < value.array.count
        else { return nil }
        value = value.array[index]
      }
    }
    return value
  }

  var typeName: String {
    switch self {
    case .null: "null"
    case .boolean: "boolean"
    case .number: "number"
    case .string: "string"
    case .array: "array"
    case .object: "object"
    }
  }

  /// A string as it is, anything else as JSON.
  var plainText: String {
    if let string { return string }
    var json = JSONWriter()
    write(to: &json)
    return json.text
  }

  /// Members in any order.
  func isSame(as other: JSONValue) -> Bool {
    switch (self, other) {
    case (.array(let mine), .array(let others)):
      return mine.count == others.count && zip(mine, others).allSatisfy { $0.isSame(as: $1) }
    case (.object(let mine), .object(let others)):
      return mine.count == others.count
        && mine.allSatisfy { member in
          others.contains { $0.name == member.name && $0.value.isSame(as: member.value) }
        }
    default: return self == other
    }
  }
}
