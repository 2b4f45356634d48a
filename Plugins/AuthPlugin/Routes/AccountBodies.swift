import FoundationEssentials
import JSONBodies
import PluginAPI

/// The bodies that the routes take. Each throws the 422 that names every field in error.
struct RegistrationBody {
  let email: EmailAddress
  let password: String
  let displayName: String?

  init(_ request: borrowing Request) throws {
    var body = try FieldReader(request, maxBytes: AccountBodies.maximumByteCount)
    let address = body.string("email", required: true)
    let email = address.flatMap { EmailAddress($0) }
    if address != nil, email == nil { body.reject("email", "must be an e-mail address") }
    let password = body.string("password", required: true, length: 12...128)
    if let password, let email, EmailAddress.normalised(password) == email.text {
      body.reject("password", "must not be the e-mail address")
    }
    displayName = AccountBodies.displayName(&body)
    (self.email, self.password) = try body.require(email, password)
  }
}

struct LoginBody {
  /// Normalised, if it is an address at all.
  let email: String
  let password: String

  init(_ request: borrowing Request) throws {
    var body = try FieldReader(request, maxBytes: AccountBodies.maximumByteCount)
    let email = body.string("email", required: true, length: 1...320)
    // No policy here: a password that does not follow it is just a wrong one.
    let password = body.string("password", required: true, length: 1...1024)
    let (given, checked) = try body.require(email, password)
    self.email = EmailAddress.normalised(given)
    self.password = checked
  }
}

struct RefreshBody {
  let refreshToken: String

  init(_ request: borrowing Request) throws {
    var body = try FieldReader(request, maxBytes: AccountBodies.maximumByteCount)
    let token = body.string("refresh_token", required: true, length: 1...512)
    refreshToken = try body.require(token)
  }
}

/// A field that is missing stays as it is; null clears it.
struct ProfileBody {
  let changesDisplayName: Bool
  let displayName: String?
  let changesAvatarURL: Bool
  let avatarURL: String?

  init(_ request: borrowing Request) throws {
    var body = try FieldReader(request, maxBytes: AccountBodies.maximumByteCount)
    changesDisplayName = body.has("display_name")
    displayName = AccountBodies.displayName(&body)
    changesAvatarURL = body.has("avatar_url")
    avatarURL = body.string("avatar_url", length: 1...2048)
    if let avatarURL, !AccountBodies.isWebAddress(avatarURL) {
      body.reject("avatar_url", "must be an http or https URL")
    }
    try body.check()
  }

  func apply(to user: inout User) {
    if changesDisplayName { user.displayName = displayName }
    if changesAvatarURL { user.avatarURL = avatarURL }
  }
}

enum AccountBodies {
  static let maximumByteCount = 16 << 10

  static func displayName(_ body: inout FieldReader) -> String? {
    let name = body.string("display_name", length: 0...100)
    if let name, name.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) {
      body.reject("display_name", "must not contain control characters")
    }
    return name
  }

  /// Whether a browser may safely be shown it: no `javascript:`, `data:` or credentials.
  static func isWebAddress(_ text: String) -> Bool {
    // The URL type takes spaces, quotes and more, and escapes them for itself.
    guard text.utf8.allSatisfy(addressCharacters.contains) else { return false }
    guard let url = URL(string: text), let scheme = url.scheme?.lowercased() else { return false }
    return ["http", "https"].contains(scheme) && url.host?.isEmpty == false && url.user == nil
  }

  /// What a URI is made of (RFC 3986 section 2).
  private static let addressCharacters = Set(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/?#[]@!$&'()*+,;=%".utf8)
}
