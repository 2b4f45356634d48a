extension Check {
  /// What is wrong with the answer; nil if it is as expected.
  func complaint(of answer: CaseAnswer, _ captured: [String: String]) -> String? {
    switch subject {
    case .field(let name):
      let values = answer.values(of: name)
      return complaint(
        "the field \(name)", texts: values, shown: values.joined(separator: " | "), captured)
    case .body:
      if case .hasCount(let count) = condition {
        return answer.body.count == count ? nil : "the body has \(answer.body.count) bytes, and not \(count)"
      }
      return complaint("the body", texts: [answer.text], shown: String(answer.text.prefix(200)), captured)
    case .json(let path):
      guard let whole = JSONValue(parsing: answer.body) else { return "the body is no JSON" }
      return complaint(
        path.isEmpty ? "the JSON" : "the member \(path)", json: whole.member(at: path), captured)
    }
  }

  private func complaint(_ what: String, texts: [String], shown: String, _ captured: [String: String])
    -> String?
  {
    let found = texts.isEmpty ? "\(what) is absent" : "\(what) is \(shown.quotedForMessage)"
    func filled(_ text: String) -> String { Template.fill(text, captured) }
    switch condition {
    case .equals(let text):
      return texts.contains(filled(text)) ? nil : "\(found), and not \(filled(text).quotedForMessage)"
    case .differs(let text): return texts.contains(filled(text)) ? found : nil
    case .contains(let text):
      return texts.contains { Template.contains($0, filled(text)) }
        ? nil : "\(found), which does not contain \(filled(text).quotedForMessage)"
    case .lacks(let text):
      return texts.contains { Template.contains($0, filled(text)) }
        ? "\(found), which contains \(filled(text).quotedForMessage)" : nil
    case .matches(let pattern):
      return texts.contains { RegularExpression.firstMatch(of: pattern, in: $0) != nil }
        ? nil : "\(found), which does not match \(pattern.quotedForMessage)"
    case .exists: return texts.isEmpty ? found : nil
    case .absent:
      return texts.isEmpty || texts == [""] && subject == .body ? nil : "\(found), and must not be there"
    case .above(let bound):
      return texts.contains { (Double($0) ?? -.infinity) > bound } ? nil : "\(found), and not above \(bound)"
    case .below(let bound):
      return texts.contains { (Double($0) ?? .infinity) < bound } ? nil : "\(found), and not below \(bound)"
    case .isOfType(let type): return "\(found): only JSON has types such as \(type)"
    case .hasCount(let count):
      return texts.count == count ? nil : "\(what) stands \(texts.count) times, and not \(count)"
    }
  }

  private func complaint(_ what: String, json value: JSONValue?, _ captured: [String: String]) -> String? {
    guard let value else { return condition == .absent ? nil : "\(what) is absent" }
    let found = "\(what) is \(String(value.plainText.prefix(200)).quotedForMessage)"
    switch condition {
    case .equals(let text), .differs(let text):
      let wanted = Template.fill(text, captured)
      guard let expected = JSONValue(parsing: Array(wanted.utf8)) else {
        return "\(wanted.quotedForMessage), to compare with, is no JSON"
      }
      if case .differs = condition { return value.isSame(as: expected) ? found : nil }
      return value.isSame(as: expected) ? nil : "\(found), and not \(wanted)"
    case .exists: return nil
    case .absent: return "\(found), and must not be there"
    case .isOfType(let type):
      return value.typeName == type ? nil : "\(what) is a \(value.typeName), and no \(type)"
    case .above(let bound):
      return value.number.map { $0 > bound } == true ? nil : "\(found), and not above \(bound)"
    case .below(let bound):
      return value.number.map { $0 < bound } == true ? nil : "\(found), and not below \(bound)"
    case .hasCount(let count):
      let size: Int? =
        switch value {
        case .array(let items): items.count
        case .object(let members): members.count
        case .string(let text): text.count
        case .null, .boolean, .number: nil
        }
      return size == count
        ? nil : "\(what) has the count \(size.map(String.init) ?? "of none"), and not \(count)"
    case .contains(let text):
      let wanted = Template.fill(text, captured)
      if value.array.contains(where: { $0.plainText == wanted }) { return nil }
      return Template.contains(value.plainText, wanted)
        ? nil : "\(found), which does not contain \(wanted.quotedForMessage)"
    case .lacks(let text):
      let wanted = Template.fill(text, captured)
      let isThere =
        value.array.contains { $0.plainText == wanted } || Template.contains(value.plainText, wanted)
      return isThere ? "\(found), which contains \(wanted.quotedForMessage)" : nil
    case .matches(let pattern):
      return RegularExpression.firstMatch(of: pattern, in: value.plainText) != nil
        ? nil : "\(found), which does not match \(pattern.quotedForMessage)"
    }
  }
}

extension Capture {
  /// The value; nil if the answer has none such.
  func value(in answer: CaseAnswer) -> String? {
    let whole: String? =
      switch subject {
      case .body: answer.text
      case .field(let name): answer.values(of: name).first
      case .json(let path): JSONValue(parsing: answer.body)?.member(at: path)?.plainText
      }
    guard let whole, let pattern else { return whole }
    return RegularExpression.firstMatch(of: pattern, in: whole)
  }
}
