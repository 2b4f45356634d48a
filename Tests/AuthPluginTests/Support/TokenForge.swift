import CCrypto
import Foundation

@testable import AuthPlugin

/// Makes tokens, good and bad ones, without the plugin's own code: signed by libcrypto's one-shot HMAC, encoded by
/// Foundation.
struct TokenForge {
  var secret = AuthHost.secret

  /// Claims that are accepted as they stand.
  static func claims(_ changes: [String: Any?] = [:], now: Date = Date()) -> [String: Any] {
    let seconds = Int(now.timeIntervalSince1970)
    var claims: [String: Any] = [
      "sub": "user-1", "email": "ada@example.com", "role": "viewer", "iss": "bulkhead", "aud": "bulkhead",
      "iat": seconds, "exp": seconds + 900, "jti": UUID().uuidString,
    ]
    for (name, value) in changes { claims[name] = value }
    return claims
  }

  func token(
    _ claims: [String: Any] = TokenForge.claims(), header: [String: Any] = ["alg": "HS256", "typ": "JWT"],
    digest: OpaquePointer? = EVP_sha256()
  ) throws -> String {
    try token(
      header: JSONSerialization.data(withJSONObject: header),
      payload: JSONSerialization.data(withJSONObject: claims), digest: digest)
  }

  func token(header: Data, payload: Data, digest: OpaquePointer? = EVP_sha256()) -> String {
    let signed = Self.encode(header) + "." + Self.encode(payload)
    return signed + "." + Self.encode(Data(sign(signed, digest: digest)))
  }

  func sign(_ text: String, digest: OpaquePointer? = EVP_sha256()) -> [UInt8] {
    let key = Array(secret.utf8)
    let message = Array(text.utf8)
    var signature = [UInt8](repeating: 0, count: 64)
    var count: UInt32 = 0
    HMAC(digest, key, Int32(key.count), message, message.count, &signature, &count)
    return Array(signature.prefix(Int(count)))
  }

  static func encode(_ data: Data) -> String {
    data.base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
  }
}
