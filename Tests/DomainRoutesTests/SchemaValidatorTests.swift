import OpenAPITesting
import PluginTesting
import Testing

/// The judge must be able to condemn.
@Suite struct SchemaValidatorTests {
  private func errors(_ value: String, _ schema: String, isClosed: Bool = true) throws -> [String] {
    let document = try JSONValue(parsing: #"{"defs":{"n":{"type":"integer"}}}"#.utf8)
    return SchemaValidator(document: document, isClosed: isClosed).errors(
      try JSONValue(parsing: value.utf8), try JSONValue(parsing: schema.utf8))
  }

  @Test(
    "what a schema allows has no errors, and what it does not has",
    arguments: [
      (#"{"type":"integer"}"#, "1", "1.5"), (#"{"type":["string","null"]}"#, "null", "1"),
      (#"{"type":"boolean"}"#, "true", "0"), (#"{"type":"object"}"#, "{}", "[]"),
      (#"{"type":"array"}"#, "[]", "{}"),
      (#"{"enum":["a",1]}"#, "1", #""b""#), (#"{"const":null}"#, "null", "false"),
      (#"{"minimum":1,"maximum":3}"#, "3", "4"), (#"{"minimum":1,"maximum":3}"#, "1", "0"),
      (#"{"minLength":2,"maxLength":3}"#, #""äöü""#, #""a""#), (#"{"maxLength":3}"#, #""abc""#, #""abcd""#),
      (#"{"pattern":"^a+$"}"#, #""aa""#, #""ab""#),
      (#"{"format":"date"}"#, #""2024-02-29""#, #""2023-02-29""#),
      (#"{"format":"uuid"}"#, #""6c1f7a0e-0000-4000-8000-000000000000""#, #""6c1f7a0e""#),
      (#"{"format":"date-time"}"#, #""2024-02-29T10:00:00.000Z""#, #""2024-02-29 10:00:00""#),
      (#"{"format":"email"}"#, #""a@b""#, #""a b@c""#), (#"{"format":"uri"}"#, #""urn:a""#, #""/a""#),
      (#"{"format":"uri-reference"}"#, #""/a""#, #""a b""#),
      (#"{"items":{"type":"integer"},"minItems":1,"maxItems":2}"#, "[1,2]", "[1,2,3]"),
      (#"{"items":{"type":"integer"}}"#, "[1]", #"[1,"a"]"#), (#"{"minItems":1}"#, "[1]", "[]"),
      (#"{"uniqueItems":true}"#, "[1,2]", "[1,1]"),
      (#"{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}"#, #"{"a":1}"#, "{}"),
      (#"{"type":"object","properties":{"a":{"type":"integer"}}}"#, #"{"a":1}"#, #"{"a":"1"}"#),
      (#"{"type":"object","properties":{"a":{"type":"integer"}}}"#, "{}", #"{"b":1}"#),
      (#"{"type":"object","additionalProperties":{"type":"integer"}}"#, #"{"b":1}"#, #"{"b":"x"}"#),
      (#"{"properties":{"a":{"const":1}}}"#, #"{"a":1,"b":2}"#, #"{"a":2}"#),
      (##"{"$ref":"#/defs/n"}"##, "1", #""1""#), (#"{"allOf":[{"minimum":1},{"maximum":2}]}"#, "2", "3"),
      (#"{"anyOf":[{"const":1},{"const":2}]}"#, "2", "3"),
      (#"{"oneOf":[{"type":"integer"},{"type":"number"}]}"#, "1.5", "1"),
    ])
  func keywords(schema: String, good: String, bad: String) throws {
    #expect(try errors(good, schema) == [])
    #expect(try errors(bad, schema) != [])
  }

  @Test("what the validator does not know is an error, and never passed over")
  func unknown() throws {
    #expect(try errors("1", #"{"multipleOf":2}"#) != [])
    #expect(try errors(#""a""#, #"{"format":"ipv4"}"#) != [])
    #expect(try errors("1", ##"{"$ref":"#/defs/missing"}"##) != [])
    #expect(try errors("1", #"{"description":"x","default":1}"#) == [])
  }

  @Test("members that are not described are allowed in requests")
  func open() throws {
    let schema = #"{"type":"object","properties":{"a":{"type":"integer"}}}"#
    #expect(try errors(#"{"b":1}"#, schema, isClosed: false) == [])
  }

  @Test(
    "an exchange that is not as described is told, whatever is wrong with it",
    arguments: [
      (418, "application/json", "{}", "status is not described"), (200, "text/html", "{}", "'text/html'"),
      (200, "application/json", "{", "no JSON"), (200, "application/json", "{}", "lacks a"),
      (200, "application/json", #"{"a":1}"#, "X is missing"),
      (204, "application/json", "{}", "none is described"),
    ])
  func exchanges(status: Int, type: String, body: String, expected: String) throws {
    let contract = Contract(
      try JSONValue(
        parsing: #"""
          {"servers":[{"url":"/v"}],"paths":{"/x/{id}":{"get":{"responses":{
            "200":{"headers":{"X":{"required":true,"schema":{"type":"string"}}},"content":{"application/json":
              {"schema":{"type":"object","properties":{"a":{}},"required":["a"]}}}},
            "204":{"description":"none"}}}}}}
          """#.utf8))
    let violations = contract.violations(
      Contract.Exchange(
        method: "GET", target: "/v/x/1?q", requestBody: [], status: status,
        headers: [(name: "Content-Type", value: type)], body: [UInt8](body.utf8)))
    #expect(violations.contains { $0.contains(expected) }, "\(violations)")
  }
}
