import PluginAPI

/// Conditional requests (RFC 9110 section 13).
struct EntityTag: Sendable, Equatable {
  /// The field's value, quotes included.
  let text: String
  /// What must be unchanged for an edit: the part before the `.`, or all of it.
  private let edit: Substring

  /// The tag of an object.
  /// - Parameters:
  ///   - version: Counts edits. `If-Match` compares this alone.
  ///   - detail: What else the representation shows, and no edit can conflict with: a project's count of generations.
  init(version: Int64, detail: Int64? = nil) {
    text = detail.map { "\"\(version).\($0)\"" } ?? "\"\(version)\""
    edit = Self.edit(of: text[...])
  }

  /// The tag of something that never changes.
  init(constant: String) {
    text = "\"\(constant)\""
    edit = text[...]
  }

  var header: (name: String, value: String) { (name: "ETag", value: text) }

  /// Refuses an edit of an object that has changed since the client saw it.
  /// - Throws: `Problem` 412.
  func check(ifMatch: String?) throws {
    guard let ifMatch else { return }
    let matches = Self.list(ifMatch).contains { $0 == "*" || Self.edit(of: $0) == edit }
    guard matches else {
      throw Problem.preconditionFailed("The object has changed; read it again. Its ETag is now \(text).")
    }
  }

  /// Whether a client that sends this `If-None-Match` has the object as it is.
  func isKnown(ifNoneMatch: String?) -> Bool {
    guard let ifNoneMatch else { return false }
    return Self.list(ifNoneMatch).contains { $0 == "*" || $0 == text[...] || $0 == "W/" + text }
  }

  private static func list(_ field: String) -> [Substring] {
    field.split(separator: ",").map { part in
      var part = part
      while part.first == " " || part.first == "\t" { part.removeFirst() }
      while part.last == " " || part.last == "\t" { part.removeLast() }
      return part
    }
  }

  /// `"3` of `"3.17"`; a weak tag, `W/"…"`, stays as it is, and so never matches.
  private static func edit(of tag: Substring) -> Substring {
    guard tag.first == "\"", tag.last == "\"", tag.count > 1 else { return tag }
    return tag.dropLast().prefix { $0 != "." }
  }
}

extension Headers {
  /// The value of a field that is a list: lines of the same name are one list (RFC 9110 section 5.3). nil if there is none.
  func list(_ name: String) -> String? {
    let lines = all(name)
    return lines.isEmpty ? nil : lines.joined(separator: ", ")
  }
}
