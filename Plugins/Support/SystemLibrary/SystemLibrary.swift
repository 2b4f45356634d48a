import Glibc

/// A C library of the system that is opened when a setting asks for it, not when the plugin is loaded.
///
/// What most configurations do without (a client of PostgreSQL brings a dozen libraries with it) costs them neither
/// memory nor time, and its absence refuses only those that name it. It is never closed: dlclose(3) under threads of
/// the library's own is not safe.
public struct SystemLibrary: @unchecked Sendable {
  public let name: String
  private let handle: UnsafeMutableRawPointer

  /// - Parameters:
  ///   - name: as dlopen(3) looks it up, with its version: `libpq.so.5`.
  ///   - package: what an operator installs to have it, named in the error: `libpq5`.
  /// - Throws: `SystemLibraryError.missing`.
  public init(_ name: String, package: String) throws(SystemLibraryError) {
    guard let handle = dlopen(name, RTLD_NOW | RTLD_LOCAL) else {
      throw .missing(name, package: package, reason: SystemLibrary.lastError)
    }
    self.name = name
    self.handle = handle
  }

  /// The function of that name, as a C function pointer type: `@convention(c) (…) -> …`, which must be its own.
  ///
  /// - Throws: `SystemLibraryError.noSymbol`.
  public func function<Function>(_ symbol: String, as type: Function.Type = Function.self)
    throws(SystemLibraryError)
    -> Function
  {
    guard let address = dlsym(handle, symbol) else { throw .noSymbol(symbol, in: name) }
    precondition(MemoryLayout<Function>.size == MemoryLayout<UnsafeMutableRawPointer>.size)
    return unsafeBitCast(address, to: type)
  }

  private static var lastError: String {
    dlerror().map { String(cString: $0) } ?? "no reason given"
  }
}

public enum SystemLibraryError: Error, Equatable, CustomStringConvertible {
  case missing(String, package: String, reason: String)
  case noSymbol(String, in: String)

  public var description: String {
    switch self {
    case .missing(let name, let package, let reason):
      "\(name) cannot be opened (\(reason)); Debian has it in the package \(package)"
    case .noSymbol(let symbol, let name):
      "\(name) has no \(symbol): it is another version than this plugin knows"
    }
  }
}
