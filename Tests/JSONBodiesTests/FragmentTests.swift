import PluginTesting
import Testing

@testable import JSONBodies

@Suite struct FragmentTests {
  private struct Named: Encodable { let name: String }
  private struct Empty: Encodable {}

  @Test("a member that is JSON already joins an object, and pages, as it is")
  func adding() throws {
    let kept = JSONFragment(valid: #"{"b":1.0,"b":[]}"#)
    #expect(
      try JSONFragment(Named(name: "x"), adding: "more", kept).text
        == #"{"name":"x","more":{"b":1.0,"b":[]}}"#)
    #expect(try JSONFragment(Empty(), adding: "more", .emptyObject).text == #"{"more":{}}"#)
    let request = PageRequest(page: 2, perPage: 2)
    let text = try JSONFragment(Page([kept, .emptyObject], total: 5, of: request)).text
    #expect(text.hasSuffix(#""items":[{"b":1.0,"b":[]},{}]}"#))
    let page = try PluginTesting.JSONValue(parsing: text.utf8)
    #expect(page["page"].int == 2)
    #expect(page["per_page"].int == 2)
    #expect(page["pages"].int == 3)
    #expect(page["total"].int == 5)
    // A page of values says the same.
    let same = try JSONText.encode(Page([Named(name: "x")], total: 5, of: request))
    #expect(same == #"{"items":[{"name":"x"}],"page":2,"pages":3,"per_page":2,"total":5}"#)
  }
}
