import PathPattern

extension Limit {
  /// `[METHOD[,METHOD]] [[=]PATH] COUNT/DURATION [burst N] [by identity|address|api-key|header NAME] [name
  /// NAME]`
  ///
  /// - Parameters:
  ///   - text: the value of one `limit` key.
  ///   - ordinal: its place among them, from 1; names it if it has no name.
  init(parsing text: String, ordinal: Int) throws(LimitError) {
    var words = Words(text)
    var methods: [String] = []
    var path: PathPattern?
    if let word = words.next(where: isMethodList) { methods = try words.methods(word) }
    var isExact = false
    if let word = words.next(where: { $0.hasPrefix("/") || $0.hasPrefix("=/") }) {
      isExact = word.hasPrefix("=")
      guard let pattern = PathPattern(isExact ? String(word.dropFirst()) : word) else {
        throw words.fault("\"\(word)\" is no path pattern")
      }
      path = pattern
    }
    guard let rate = words.next() else { throw words.fault("needs a rate, as in 100/1m") }
    let (count, period, window) = try words.rate(rate)

    var burst: UInt64?
    var partition: Partition?
    var name: String?
    while let word = words.next() {
      switch word {
      case "burst" where burst == nil: burst = try words.number(of: word)
      case "by" where partition == nil: partition = try words.partition()
      case "name" where name == nil: name = try words.name()
      case "burst", "by", "name": throw words.fault("has \"\(word)\" twice")
      default: throw words.fault("\"\(word)\" is none of burst, by and name")
      }
    }
    guard let algorithm = GCRA(count: count, period: period, burst: burst ?? count) else {
      throw words.fault("a full burst would take more than a century to drain")
    }
    self.init(
      name: name ?? "limit-\(ordinal)", methods: methods, path: path, isExact: isExact, count: count,
      period: period,
      burst: burst ?? count, partition: partition ?? .identity, rate: algorithm, text: words.textWithoutName,
      window: window)
  }

  /// Reads all limits of a plugin.
  ///
  /// - Throws: what is wrong with one, or if two have one name, or count the same.
  static func parse(_ texts: [String]) throws(LimitError) -> [Limit] {
    var limits: [Limit] = []
    for (index, text) in texts.enumerated() {
      let limit = try Limit(parsing: text, ordinal: index + 1)
      if limits.contains(where: { $0.name == limit.name }) {
        throw LimitError(limit: text, reason: "the name \"\(limit.name)\" is taken by another limit")
      }
      if let other = limits.first(where: { $0.identifier == limit.identifier }) {
        throw LimitError(limit: text, reason: "is the same limit as \"\(other.name)\"")
      }
      limits.append(limit)
    }
    guard limits.count <= CounterMemory.sharedEntryCount else {
      throw LimitError(
        limit: texts[CounterMemory.sharedEntryCount],
        reason: "is one too many: a plugin takes \(CounterMemory.sharedEntryCount)")
    }
    return limits
  }
}

private func isMethodList(_ word: String) -> Bool {
  word.utf8.first.map { !isDigit($0) && $0 != UInt8(ascii: "/") } == true && !word.contains("/")
}

private func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

/// RFC 9110 section 5.6.2.
private func isToken(_ word: String) -> Bool {
  !word.isEmpty
    && word.utf8.allSatisfy {
      isDigit($0) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0 | 0x20)
        || "!#$%&'*+-.^_`|~".utf8.contains($0)
    }
}

/// A limit's words, read from left to right.
private struct Words {
  let text: String
  private let words: [String]
  private var index = 0

  init(_ text: String) {
    self.text = text
    words = text.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
  }

  func fault(_ reason: String) -> LimitError { LimitError(limit: text, reason: reason) }

  mutating func next(where isWanted: (String) -> Bool = { _ in true }) -> String? {
    guard index < words.count, isWanted(words[index]) else { return nil }
    defer { index += 1 }
    return words[index]
  }

  var textWithoutName: String {
    guard let index = words.lastIndex(of: "name") else { return words.joined(separator: " ") }
    return (words[..<index] + words[min(index + 2, words.count)...]).joined(separator: " ")
  }

  func methods(_ word: String) throws(LimitError) -> [String] {
    let methods = word.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    for method in methods {
      guard isToken(method), method.utf8.allSatisfy({ $0 & 0xDF == $0 || $0 < 0x40 }) else {
        throw fault("\"\(method)\" is no method; methods stand first, in capitals")
      }
      if method == "OPTIONS" { throw fault("OPTIONS is never counted, so that preflights pass") }
    }
    return methods
  }

  func rate(_ word: String) throws(LimitError) -> (count: UInt64, period: UInt64, window: String) {
    let parts = word.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let count = UInt64(parts[0]), count > 0, parts[0].utf8.allSatisfy(isDigit) else {
      throw fault("\"\(word)\" is no rate: write COUNT/DURATION, as in 100/1m")
    }
    guard let period = nanoseconds(parts[1]) else {
      throw fault("\"\(parts[1])\" is no duration: write 250ms, 5s, 1m, 1h or 7d")
    }
    return (count, period, String(parts[1]))
  }

  /// `250ms`, `5s`, `1m`, `1h`, `7d`, above zero; the unit alone is one of it.
  private func nanoseconds(_ word: Substring) -> UInt64? {
    let digits = word.prefix { $0.isASCII && $0.isNumber }
    let unit: UInt64
    switch word[digits.endIndex...] {
    case "ms": unit = 1_000_000
    case "s": unit = 1_000_000_000
    case "m": unit = 60 * 1_000_000_000
    case "h": unit = 3600 * 1_000_000_000
    case "d": unit = 86_400 * 1_000_000_000
    default: return nil
    }
    guard let number = digits.isEmpty ? 1 : UInt64(digits), number > 0 else { return nil }
    let (product, isTooLong) = number.multipliedReportingOverflow(by: unit)
    return isTooLong ? nil : product
  }

  mutating func number(of key: String) throws(LimitError) -> UInt64 {
    guard let word = next(), word.utf8.allSatisfy(isDigit), let number = UInt64(word), number > 0 else {
      throw fault("\(key) needs a number from 1")
    }
    return number
  }

  mutating func partition() throws(LimitError) -> Limit.Partition {
    switch next() {
    case "identity": return .identity
    case "address": return .address
    case "api-key": return .header("X-API-Key")
    case "header":
      guard let name = next(), isToken(name) else { throw fault("header needs a field name") }
      return .header(name)
    default: throw fault("by needs one of identity, address, api-key, and header NAME")
    }
  }

  mutating func name() throws(LimitError) -> String {
    guard let name = next(), name.utf8.count <= 40,
      name.utf8.allSatisfy({
        isDigit($0) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || $0 == UInt8(ascii: "-")
      })
    else { throw fault("name needs lower-case letters, digits and hyphens, at most 40") }
    return name
  }
}
