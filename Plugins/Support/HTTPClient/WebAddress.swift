import CCurl

/// An absolute `http` or `https` URL without user and fragment, as libcurl reads it: what is compared is what is
/// connected to.
public struct WebAddress: Sendable, Hashable, CustomStringConvertible {
  /// As libcurl writes it, the default port left out.
  public let text: String
  /// `http` or `https`.
  public let scheme: String
  /// In lower case.
  public let host: String
  public let port: Int

  /// Whether both are of one origin (RFC 6454): scheme, host and port.
  public func isSameOrigin(as other: WebAddress) -> Bool {
    scheme == other.scheme && host == other.host && port == other.port
  }

  /// Without the query, which may hold secrets: for logs.
  public var description: String { String(text.prefix { $0 != "?" }) }

  /// - Parameters:
  ///   - text: An URL; if `base` is given, also one that is relative to it.
  /// - Throws: `HTTPClientError.Kind.invalid`.
  init(_ text: String, relativeTo base: WebAddress? = nil, library: CurlLibrary) throws(HTTPClientError) {
    guard text.utf8.count <= 8000, text.utf8.allSatisfy({ 0x21...0x7e ~= $0 }) else {
      throw HTTPClientError(.invalid, "an URL has at most 8000 visible ASCII characters", wasSent: false)
    }
    guard let handle = library.url() else {
      throw HTTPClientError(.invalid, "libcurl has no memory for an URL", wasSent: false)
    }
    defer { library.urlCleanup(handle) }
    // A second URL is read relative to the first.
    for part in [base?.text, text].compactMap(\.self) {
      guard library.urlSet(handle, CURLUPART_URL, part, UInt32(CURLU_DISALLOW_USER)) == CURLUE_OK else {
        throw HTTPClientError(.invalid, "this is no http or https URL without user", wasSent: false)
      }
    }
    guard library.urlSet(handle, CURLUPART_FRAGMENT, nil, 0) == CURLUE_OK,
      let scheme = Self.part(CURLUPART_SCHEME, of: handle, library)?.lowercased(),
      ["http", "https"].contains(scheme),
      let host = Self.part(CURLUPART_HOST, of: handle, library)?.lowercased(), !host.isEmpty,
      let port = Self.part(CURLUPART_PORT, of: handle, library).flatMap({ Int($0) }),
      let whole = Self.part(CURLUPART_URL, of: handle, library, flags: 0)
    else { throw HTTPClientError(.invalid, "this is no http or https URL", wasSent: false) }
    self.text = whole
    self.scheme = scheme
    self.host = host
    self.port = port
  }

  private static func part(
    _ part: CURLUPart, of handle: OpaquePointer, _ library: CurlLibrary, flags: Int32 = CURLU_DEFAULT_PORT
  ) -> String? {
    var text: UnsafeMutablePointer<CChar>?
    guard library.urlGet(handle, part, &text, UInt32(flags)) == CURLUE_OK, let text else { return nil }
    defer { library.free(text) }
    return String(cString: text)
  }
}
