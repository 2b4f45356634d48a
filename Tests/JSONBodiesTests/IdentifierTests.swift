import Foundation
import PluginTesting
import Testing

@testable import JSONBodies

@Suite struct IdentifierTests {
  @Test("ids are UUIDs of version 4, and no two are the same")
  func make() {
    let ids = (0..<1000).map { _ in Identifier.make() }
    #expect(Set(ids).count == 1000)
    for id in ids {
      #expect(
        id.wholeMatch(of: /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/) != nil,
        "\(id)")
      #expect(Identifier.canonical(id) == id)
    }
  }

  @Test("the bits that say what a UUID is are set, whatever the others are")
  func bits() {
    #expect(Identifier.make(0, 0) == "00000000-0000-4000-8000-000000000000")
    #expect(Identifier.make(.max, .max) == "ffffffff-ffff-4fff-bfff-ffffffffffff")
  }
}
