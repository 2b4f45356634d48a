import PluginAPI

/// A model that clients can ask for, with its price.
struct Model: Sendable, Equatable {
  static let sides = 64...2048
  /// What a JSON number shows exactly.
  static let seeds = 0...9_007_199_254_740_991

  let id: String
  let name: String
  /// In credits; 0 is free.
  let price: Int64
  let maxWidth: Int
  let maxHeight: Int
  let style: LocalRenderer.Style

  var defaultWidth: Int { min(512, maxWidth) }
  var defaultHeight: Int { min(512, maxHeight) }

  /// Reads `sketch-1 price 5 max 1024x1024 style flow name Sketch 1`; `name` comes last.
  /// - Throws: `SettingsError` that says what is wrong with the line.
  init(parsing line: String) throws {
    var words = SettingWords(line, key: "model")
    let id = try words.next("the model's id")
    guard id.utf8.count <= 64, id.allSatisfy({ $0.isLetter || $0.isNumber || "-._".contains($0) }) else {
      throw words.error("'\(id)' is no id: letters, digits, '-', '.' and '_', at most 64")
    }
    var (price, size, style, name) = (Int?.none, (1024, 1024), LocalRenderer.Style.flow, id)
    while let option = words.nextOption() {
      switch option {
      case "price": price = try words.nextNumber("the price", in: 0...1_000_000)
      case "max": size = try Self.size(try words.next("the largest size"), words)
      case "style":
        let word = try words.next("the style")
        guard let known = LocalRenderer.Style(rawValue: word) else {
          throw words.error("'\(word)' is no style: flow or cells")
        }
        style = known
      case "name": name = words.rest()
      default: throw words.error("'\(option)' is none of price, max, style and name")
      }
    }
    guard let price else { throw words.error("the price is missing") }
    guard !name.isEmpty else { throw words.error("the name is missing") }
    self.init(
      id: id, name: name, price: Int64(price), maxWidth: size.0, maxHeight: size.1, style: style)
  }

  init(id: String, name: String, price: Int64, maxWidth: Int, maxHeight: Int, style: LocalRenderer.Style) {
    self.id = id
    self.name = name
    self.price = price
    self.maxWidth = maxWidth
    self.maxHeight = maxHeight
    self.style = style
  }

  private static func size(_ text: String, _ words: SettingWords) throws -> (Int, Int) {
    let parts = text.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
    guard parts.count == 2, let width = parts[0], let height = parts[1], sides ~= width, sides ~= height
    else { throw words.error("'\(text)' is no size like 1024x1024, of 64 to 2048 each") }
    return (width, height)
  }
}

/// The configured models, in the settings' order.
struct ModelCatalogue: Sendable {
  let models: [Model]

  /// Those that are there if the settings state none.
  static let shipped = [
    Model(id: "sketch-1", name: "Sketch 1", price: 5, maxWidth: 1024, maxHeight: 1024, style: .flow),
    Model(id: "mosaic-1", name: "Mosaic 1", price: 10, maxWidth: 2048, maxHeight: 2048, style: .cells),
  ]

  /// - Throws: `SettingsError`, also if an id stands there twice.
  init(_ lines: [String]) throws {
    let stated = try lines.map { try Model(parsing: $0) }
    for (index, model) in stated.enumerated() where stated[..<index].contains(where: { $0.id == model.id }) {
      throw SettingsError(key: "model", reason: "the model \(model.id) is stated twice")
    }
    models = stated.isEmpty ? Self.shipped : stated
  }

  subscript(id: String) -> Model? { models.first { $0.id == id } }
}

/// `GET models/supported`.
struct ModelList: Encodable {
  let models: [Item]

  /// - Parameter mediaType: Of the images: `image/png`, or `image/*` if the provider chooses.
  init(_ catalogue: ModelCatalogue, mediaType: String) {
    models = catalogue.models.map { Item($0, mediaType: mediaType) }
  }

  struct Item: Encodable {
    let id: String
    let modelID: String
    let name: String
    let price: Int64
    let mediaType: String
    let parameters: [String: Parameter]

    init(_ model: Model, mediaType: String) {
      self.mediaType = mediaType
      id = model.id
      modelID = model.id
      name = model.name
      price = model.price
      parameters = [
        "width": Parameter(
          minimum: Model.sides.lowerBound, maximum: model.maxWidth, defaultValue: model.defaultWidth),
        "height": Parameter(
          minimum: Model.sides.lowerBound, maximum: model.maxHeight, defaultValue: model.defaultHeight),
        // Without a default: one is drawn, and told.
        "seed": Parameter(
          minimum: Model.seeds.lowerBound, maximum: Model.seeds.upperBound, defaultValue: nil),
      ]
    }

    private enum CodingKeys: String, CodingKey {
      case id, name, price, parameters
      case modelID = "model_id"
      case mediaType = "media_type"
    }
  }

  struct Parameter: Encodable {
    let type = "integer"
    let minimum: Int
    let maximum: Int
    let defaultValue: Int?

    private enum CodingKeys: String, CodingKey {
      case type, minimum, maximum
      case defaultValue = "default"
    }
  }
}
