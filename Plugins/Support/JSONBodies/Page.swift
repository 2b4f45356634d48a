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
public struct Page<Item: Encodable>: Encodable {
  public let items: [Item]
  /// How many items the whole list has.
  public let total: Int
  public let page: Int
  public let perPage: Int
  /// How many pages the whole list has; 0 if it is empty.
  public let pages: Int

  public init(_ items: [Item], total: Int, of request: PageRequest) {
    self.items = items
    self.total = total
    page = request.page
    perPage = request.perPage
    pages = (total + request.perPage - 1) / request.perPage
  }

  private enum CodingKeys: String, CodingKey {
    case items, total, page, pages
    case perPage = "per_page"
  }
}

extension Page: Sendable where Item: Sendable {}
