/// What a CORS preflight asks for (Fetch standard, "CORS-preflight request"): an OPTIONS request with an
/// Origin and an Access-Control-Request-Method. Views, valid only during the call that they are passed to.
public struct CORSPreflight {
  /// Access-Control-Request-Method, as sent. Methods are compared with case.
  public var requestMethod: UnsafeRawBufferPointer
  /// Access-Control-Request-Headers, as sent: names by comma. Nil if the field is absent.
  public var requestHeaders: UnsafeRawBufferPointer?
  /// Whether Access-Control-Request-Private-Network is `true` (Private Network Access, section 3).
  public var requestsPrivateNetwork: Bool

  public init(
    requestMethod: UnsafeRawBufferPointer, requestHeaders: UnsafeRawBufferPointer?,
    requestsPrivateNetwork: Bool
  ) {
    self.requestMethod = requestMethod
    self.requestHeaders = requestHeaders
    self.requestsPrivateNetwork = requestsPrivateNetwork
  }
}
