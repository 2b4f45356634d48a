import Testing

@testable import bulkhead

/// The text format of cases.
@Suite("Case files")
struct CaseFileTests {
  private func parse(_ text: String) throws -> CaseFile {
    try CaseFile.parse(Array(text.utf8), path: "a.case").get()
  }

  private func problems(_ text: String) -> [String] {
    guard case .failure(let errors) = CaseFile.parse(Array(text.utf8), path: "a.case") else { return [] }
    return errors.errors.map { "\($0)" }
  }

  @Test("a case holds settings, steps, what surrounds them, and what is expected")
  func whole() throws {
    let file = try parse(
      """
      # a comment
      [host]
      max-body = 2k
      [plugin]
      mount = /x

      [case one and all]
      limit = 3/1m    # ours

      POST /x/items?n=1
      @identity ada role=admin scopes=read,write email=ada@example.org
      @client 2001:db8::1
      @repeat 3
      @until 2s
      Content-Type: application/json

      {"a": 1,

       "b": 2}

      HTTP 201
      Content-Type: application/json
      json a.b[0] = {"c": [1, 2]}
      header Retry-After absent
      body lacks password
      within 250ms
      capture id = json id
      capture token = header Set-Cookie matches token=([^;]+)

      GET /x/items/{{id}}

      HTTP *
      fault crashed
      """)
    #expect(file.sections.map(\.title) == ["[host]", "[plugin]"])
    #expect(file.sections[1].lines == [CaseFile.SettingLine(key: "mount", text: "mount = /x")])
    let entry = try #require(file.cases.first)
    #expect(entry.name == "one and all")
    #expect(entry.line == 7)
    #expect(entry.settings.map(\.key) == ["limit"])
    let step = try #require(entry.steps.first)
    #expect(step.method == "POST")
    #expect(step.target == "/x/items?n=1")
    #expect(step.fields == [Step.Field(name: "Content-Type", value: "application/json")])
    #expect(String(decoding: step.body, as: UTF8.self) == "{\"a\": 1,\n\n \"b\": 2}")
    #expect(
      step.circumstances.identity
        == TestIdentity(subject: "ada", email: "ada@example.org", role: "admin", scopes: ["read", "write"]))
    #expect(step.circumstances.client == "2001:db8::1")
    #expect(step.circumstances.repetitions == 3)
    #expect(step.circumstances.patience == .seconds(2))
    #expect(step.circumstances.limit == .milliseconds(250))
    #expect(step.status == 201)
    #expect(
      step.checks.map(\.subject) == [.field("Content-Type"), .json("a.b[0]"), .field("Retry-After"), .body])
    #expect(step.checks.map(\.condition).last == .lacks("password"))
    #expect(step.captures.map(\.name) == ["id", "token"])
    #expect(step.captures[1].pattern == "token=([^;]+)")
    #expect(entry.steps[1].status == nil)
    #expect(entry.steps[1].fault == .crashed)
  }

  @Test("a start that must fail has a reason, and words")
  func start() throws {
    let file = try parse("[case no]\nkey = value\nSTART bad-settings\ncontains key\nmatches ^no\n")
    let expected = try #require(file.cases[0].start)
    #expect(expected.reason == .badSettings)
    #expect(expected.checks.map(\.condition) == [.contains("key"), .matches("^no")])
  }

  @Test(
    "what is wrong is said with its line, all of it at once, and with the nearest name",
    arguments: [
      ("x = 1", "a.case:1: stands before any section"),
      ("[case a]\nGET /x\n\nHTTP 200\njsno a = 1", "a.case:5: expects 'jsno a = 1'"),
      ("[case a]\nGET /x\n@idenity ada\n\nHTTP 200", "did you mean 'identity'?"),
      ("[case a]\nGET /x\nno colon\n\nHTTP 200", "a.case:3: expected a field"),
      ("[case a]\nGET /x\n\nHTTP 999", "a.case:4:"),
      ("[case a]\nGET /x\n\nHTTP 200\njson a = x", "is no JSON"),
      ("[case a]\nGET /x\n\nHTTP 200\nbody matches ((", "regular expression"),
      ("[case a]\n", "has no request"), ("[case a]\nHTTP 200\n", "answers no request"),
      ("[cas a]\n", "did you mean 'case'?"), ("[case a]\nSTART crashed\n", "a.case:2"),
      ("[case a]\nGET /x\n\nHTTP 200\n[case a]\nGET /x\n\nHTTP 200", "a.case:5: a case of the name"),
    ])
  func wrong(text: String, says: String) {
    #expect(problems(text).contains { $0.contains(says) }, "\(problems(text))")
  }
}

/// What an answer is held against.
@Suite("Checks of answers")
struct CaseCheckTests {
  private let answer = CaseAnswer(
    status: 200,
    fields: [Step.Field(name: "Vary", value: "Origin"), Step.Field(name: "vary", value: "Accept")],
    body: Array(#"{"a":{"b":[1,"x",{"c":null}]},"n":2.5,"s":"abc","t":true}"#.utf8), took: .zero)

  private func holds(_ line: String, _ captured: [String: String] = [:]) throws -> Bool {
    try CheckParser.check(line, line: 1, default: nil).complaint(of: answer, captured) == nil
  }

  @Test(
    "hold",
    arguments: [
      "Vary: Accept", "VARY: Origin", "header Vary contains cep", "header Age absent", "header Vary count 2",
      "json a.b[0] = 1", "json a.b[1] = \"x\"", "json a.b[2].c = null",
      "json a = {\"b\": [1, \"x\", {\"c\": null}]}",
      "json n > 2", "json n < 3", "json s matches ^a.c$", "json s contains bc", "json a.b count 3",
      "json a.b contains x",
      "json missing absent", "json t is boolean", "json t != false", "body contains abc", "body lacks xyz",
      "body matches [[:digit:]]", "json is object",
    ])
  func holding(line: String) throws {
    #expect(try holds(line))
  }

  @Test(
    "do not hold",
    arguments: [
      "Vary: Cookie", "header Vary absent", "header Age exists", "json a.b[3] exists", "json a.b[0] = 2",
      "json s = \"abd\"", "json n > 2.5", "json a.b count 2", "json missing = 1", "json t is string",
      "json s lacks b",
      "body = abc", "body count 3", "body matches ^abc", "json a.b contains y",
    ])
  func failing(line: String) throws {
    #expect(try !holds(line))
  }

  @Test("what was captured is put in")
  func captured() throws {
    #expect(try holds("json s = \"{{word}}\"", ["word": "abc"]))
    #expect(try !holds("json s = \"{{word}}\"", ["word": "abd"]))
    #expect(Template.fill("{{a}}/{{ b }}/{{c}}", ["a": "1", "b": "2"]) == "1/2/{{c}}")
  }
}
