import Testing

@Suite struct DescriptionTests {
  @Test("the shop's description has every route of this plugin, and no other under /auth")
  func complete() throws {
    let contract = try #require(AuthContract.contract)
    let described = Set(contract.operations.filter { $0.contains("/api/v1/auth/") })
    #expect(described == Set(try AuthHost().host.routes))
  }
}
