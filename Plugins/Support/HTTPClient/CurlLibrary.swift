import CCurl
import SystemLibrary

// Unsafe memory: function addresses of a library that is never closed.

/// libcurl's functions, opened when the first client is made. Any thread.
///
/// Handles are the caller's to use on one thread at a time, and to free: https://curl.se/libcurl/c/threadsafe.html
struct CurlLibrary: @unchecked Sendable {
  typealias Handle = UnsafeMutableRawPointer
  typealias URLHandle = OpaquePointer

  /// Debian's build with OpenSSL, and the one with GnuTLS.
  private static let names = [("libcurl.so.4", "libcurl4"), ("libcurl-gnutls.so.4", "libcurl3-gnutls")]

  let setopt: UnsafeRawPointer
  let getinfo: UnsafeRawPointer
  let easyInit: @convention(c) () -> Handle?
  let easyReset: @convention(c) (Handle?) -> Void
  let easyCleanup: @convention(c) (Handle?) -> Void
  let easyMessage: @convention(c) (CURLcode) -> UnsafePointer<CChar>?
  let multiInit: @convention(c) () -> Handle?
  let multiCleanup: @convention(c) (Handle?) -> CURLMcode
  let multiAdd: @convention(c) (Handle?, Handle?) -> CURLMcode
  let multiRemove: @convention(c) (Handle?, Handle?) -> CURLMcode
  let multiPerform: @convention(c) (Handle?, UnsafeMutablePointer<Int32>?) -> CURLMcode
  let multiPoll:
    @convention(c) (Handle?, UnsafeMutableRawPointer?, UInt32, Int32, UnsafeMutablePointer<Int32>?)
      -> CURLMcode
  let multiMessage: @convention(c) (Handle?, UnsafeMutablePointer<Int32>?) -> UnsafeMutablePointer<CURLMsg>?
  let multiMessageText: @convention(c) (CURLMcode) -> UnsafePointer<CChar>?
  let listAppend:
    @convention(c) (UnsafeMutablePointer<curl_slist>?, UnsafePointer<CChar>?) -> UnsafeMutablePointer<
      curl_slist
    >?
  let listFree: @convention(c) (UnsafeMutablePointer<curl_slist>?) -> Void
  let url: @convention(c) () -> URLHandle?
  let urlCleanup: @convention(c) (URLHandle?) -> Void
  let urlGet:
    @convention(c) (URLHandle?, CURLUPart, UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?, UInt32) ->
      CURLUcode
  let urlSet: @convention(c) (URLHandle?, CURLUPart, UnsafePointer<CChar>?, UInt32) -> CURLUcode
  let free: @convention(c) (UnsafeMutableRawPointer?) -> Void

  /// Opens and initialises the library. [main]
  /// - Throws: `SystemLibraryError`; `HTTPClientError` if the library cannot be initialised.
  init() throws {
    let library = try Self.open()
    setopt = try library.function("curl_easy_setopt")
    getinfo = try library.function("curl_easy_getinfo")
    easyInit = try library.function("curl_easy_init")
    easyReset = try library.function("curl_easy_reset")
    easyCleanup = try library.function("curl_easy_cleanup")
    easyMessage = try library.function("curl_easy_strerror")
    multiInit = try library.function("curl_multi_init")
    multiCleanup = try library.function("curl_multi_cleanup")
    multiAdd = try library.function("curl_multi_add_handle")
    multiRemove = try library.function("curl_multi_remove_handle")
    multiPerform = try library.function("curl_multi_perform")
    multiPoll = try library.function("curl_multi_poll")
    multiMessage = try library.function("curl_multi_info_read")
    multiMessageText = try library.function("curl_multi_strerror")
    listAppend = try library.function("curl_slist_append")
    listFree = try library.function("curl_slist_free_all")
    url = try library.function("curl_url")
    urlCleanup = try library.function("curl_url_cleanup")
    urlGet = try library.function("curl_url_get")
    urlSet = try library.function("curl_url_set")
    free = try library.function("curl_free")
    let initialise: @convention(c) (Int) -> CURLcode = try library.function("curl_global_init")
    // Counted by libcurl, and never undone: the library stays.
    let code = initialise(globalDefault)
    guard code == CURLE_OK else {
      throw HTTPClientError(.invalid, "libcurl cannot be initialised: \(message(code))", wasSent: false)
    }
  }

  private static func open() throws(SystemLibraryError) -> SystemLibrary {
    var first: SystemLibraryError?
    for (name, package) in names {
      do {
        return try SystemLibrary(name, package: package)
      } catch {
        first = first ?? error
      }
    }
    throw first ?? .missing(names[0].0, package: names[0].1, reason: "no name to look for")
  }

  func message(_ code: CURLcode) -> String {
    easyMessage(code).map { String(cString: $0) } ?? "error \(code.rawValue)"
  }

  func message(_ code: CURLMcode) -> String {
    multiMessageText(code).map { String(cString: $0) } ?? "error \(code.rawValue)"
  }
}

/// `CURL_GLOBAL_DEFAULT`, a macro of macros that is not imported: SSL and Win32.
private let globalDefault = 3
