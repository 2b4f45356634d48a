import PluginABI

/// A request's method (RFC 9110 section 9).
public enum Method: Sendable, Hashable, CustomStringConvertible {
  case get, head, post, put, patch, delete, options
  /// Any other, as sent.
  case other(String)

  /// As it stands in a request.
  public var name: String {
    switch self {
    case .get: "GET"
    case .head: "HEAD"
    case .post: "POST"
    case .put: "PUT"
    case .patch: "PATCH"
    case .delete: "DELETE"
    case .options: "OPTIONS"
    case .other(let name): name
    }
  }

  public var description: String { name }
}

extension bh_request {
  var swiftMethod: Method {
    switch Int(method) {
    case Int(BH_METHOD_GET): .get
    case Int(BH_METHOD_HEAD): .head
    case Int(BH_METHOD_POST): .post
    case Int(BH_METHOD_PUT): .put
    case Int(BH_METHOD_PATCH): .patch
    case Int(BH_METHOD_DELETE): .delete
    case Int(BH_METHOD_OPTIONS): .options
    default: .other(method_name.string)
    }
  }
}
