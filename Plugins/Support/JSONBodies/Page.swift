/// Which part of a list is asked for.
public struct PageRequest: Sendable, Equatable {
  /// Past it nobody pages by hand, and offsets stay far from overflow.
  public static let maximumPage = 1_000_000

  /// From 1.
  public let page: Int
  /// 1...100
  public let perPage: Int

  public init(page: Int, perPage: Int) {
    self.page = page
    self.perPage = perPage
  }

  /// How many items come before: SQL's OFFSET, with `perPage` as its LIMIT.
  public var offset: Int { (page - 1) * perPage }
}

/// One page of a list as it is answered.
public struct Page<Item> {
  public let items: [Item]
  fileprivate let counts: PageCounts

  public init(_ items: [Item], total: Int, of request: PageRequest) {
    self.items = items
    counts = PageCounts(
      total: total, page: request.page, perPage: request.perPage,
      pages: (total + request.perPage - 1) / request.perPage)
  }
}

/// What a page says beside its items.
private struct PageCounts: Encodable, Sendable {
  /// How many items the whole list has.
  let total: Int
  let page: Int
  let perPage: Int
  /// How many pages the whole list has; 0 if it is empty.
  let pages: Int

  private enum CodingKeys: String, CodingKey {
    case total, page, pages
    case perPage = "per_page"
  }
}

extension Page: Sendable where Item: Sendable {}

extension Page: Encodable where Item: Encodable {
  private enum CodingKeys: CodingKey { case items }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(items, forKey: .items)
    try counts.encode(to: encoder)
  }
}

extension JSONFragment {
  /// The text of a page whose items are text already.
  ///
  /// - Throws: `EncodingError`.
  public init(_ page: Page<JSONFragment>) throws {
    try self.init(page.counts, adding: "items", JSONFragment(array: page.items))
  }
}
