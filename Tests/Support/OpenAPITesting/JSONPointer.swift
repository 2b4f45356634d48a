import PluginTesting

extension JSONValue {
  /// What a reference within a document points at (RFC 6901, as a fragment); nil if there is nothing.
  func resolve(_ reference: String) -> JSONValue? {
    guard reference.hasPrefix("#/") else { return nil }
    var value = self
    for part in reference.dropFirst(2).split(separator: "/", omittingEmptySubsequences: false) {
      let name = String(part).replacing("~1", with: "/").replacing("~0", with: "~")
      guard let next = value.object[name] else { return nil }
      value = next
    }
    return value
  }

  /// This, or what its `$ref` points at in the document.
  func followed(in document: JSONValue) -> JSONValue? {
    guard let reference = self["$ref"].string else { return self }
    return document.resolve(reference)?.followed(in: document)
  }
}
