import Glibc

/// The library that the harness is pointed at, as a child has found it.
struct HarnessLibrary: Sendable {
  /// Absolute.
  var path: String
  /// Where bare names of others are looked up: the configuration's, or beside this one.
  var pluginPath: String
  var report: LibraryReport

  var name: String { report.plugin?.name ?? "" }
  var subject: String { "\(name) \(report.plugin?.version ?? "")" }
  /// `AuthPlugin` of `libAuthPlugin.so`.
  var stem: String { HarnessLibrary.stem(of: path) }
  var directory: String { FilePaths(ofFile: path).directory }

  static func stem(of path: String) -> String {
    var file = path.split(separator: "/").last.map(String.init) ?? path
    if file.hasSuffix(".so") { file = String(file.dropLast(3)) }
    return file.hasPrefix("lib") ? String(file.dropFirst(3)) : file
  }

  /// Looks it up as `describe` does, and has a child load it. What is wrong is said here.
  static func find(_ library: String, configuration: String?) -> Result<HarnessLibrary, ExitStatus> {
    switch locate(library, configuration: configuration) {
    case .failure(let status): return .failure(status)
    case .success(let path):
      switch LibraryInspection.run(path) {
      case .failure(let failure):
        Output.complain("\(path): \(failure.reason): \(failure.message)")
        return .failure(.no)
      case .success(let report):
        return .success(
          HarnessLibrary(path: path, pluginPath: FilePaths(ofFile: path).directory, report: report))
      }
    }
  }

  /// The absolute path of a library, which may not be there.
  static func locate(_ library: String, configuration: String?) -> Result<String, ExitStatus> {
    if let checker = MemoryChecker.current { Output.complain(checker.notice) }
    let options = DescribeOptions(library: library, configuration: configuration)
    switch DescribeCommand.libraryPath(options) {
    case .failure(let errors):
      for error in errors.errors { Output.complain("\(error)") }
      return .failure(.configuration)
    case .success(let path): return .success(absolute(path))
    }
  }

  /// Why there is no library to load: there is no such file, or it is none that could be read. nil if there is one.
  static func missing(_ path: String) -> String? {
    var status = stat()
    guard stat(path, &status) == 0 else { return String(cString: strerror(errno)) }
    return status.st_mode & S_IFMT == S_IFREG ? nil : "it is not a regular file"
  }

  /// Without links and dots, if the file is there.
  static func absolute(_ path: String) -> String {
    guard let resolved = realpath(path, nil) else { return path }
    defer { free(resolved) }
    return String(cString: resolved)
  }
}

/// Where a plugin's cases are.
///
/// Named on the command line, files or directories of `*.case`; or else the first of these that has any, NAME being the
/// library's file name without `lib` and `.so`:
/// 1. `cases/NAME/` beside the library, where they are installed;
/// 2. `Plugins/NAME/Cases/`, then `Cases/`, in a directory above the library, from the nearest on: the source tree that it
///    was built in;
/// 3. the same in the working directory.
enum CaseFiles {
  struct Problem: Error, CustomStringConvertible {
    var description: String
  }

  static func find(_ named: [String], of library: HarnessLibrary) -> Result<[String], Problem> {
    guard named.isEmpty else {
      var files: [String] = []
      for path in named {
        let found = isDirectory(path) ? cases(in: path) : [path]
        guard !found.isEmpty else {
          return .failure(Problem(description: "\(path) has no file *\(CaseFile.suffix)"))
        }
        files += found
      }
      return .success(files)
    }
    let places = candidates(for: library)
    for place in places {
      let found = cases(in: place)
      if !found.isEmpty { return .success(found) }
    }
    return .failure(
      Problem(
        description:
          "\(library.stem) has no cases: none in \(places.prefix(3).joined(separator: ", ")) …; name a file"))
  }

  static func candidates(for library: HarnessLibrary) -> [String] {
    var places = ["\(library.directory)/cases/\(library.stem)"]
    var above = library.directory
    // A build directory lies four levels below its package at most.
    for _ in 0..<5 {
      guard let slash = above.lastIndex(of: "/"), slash != above.startIndex else { break }
      above = String(above[..<slash])
      places += ["\(above)/Plugins/\(library.stem)/Cases", "\(above)/Cases"]
    }
    return places + ["Plugins/\(library.stem)/Cases", "Cases"]
  }

  static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  private static func cases(in directory: String) -> [String] {
    StateDirectory.entries(of: directory).filter { $0.hasSuffix(CaseFile.suffix) }.sorted().map {
      "\(directory)/\($0)"
    }
  }
}
