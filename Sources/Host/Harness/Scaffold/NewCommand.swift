import Glibc

/// `bulkhead new plugin NAME`: a plugin's package that builds, tests and loads as it stands.
enum NewCommand {
  static func run(_ options: NewOptions) -> ExitStatus {
    let directory = options.directory ?? options.name
    var status = stat()
    guard stat(directory, &status) != 0 || StateDirectory.entries(of: directory).isEmpty else {
      Output.complain("\(directory) is there already, and not empty")
      return .no
    }
    var sdk = ""
    if options.language == .swift {
      switch PluginSDK.find(options.sdk) {
      case .failure(let problem):
        Output.complain(problem.description)
        return .unavailable
      case .success(let found): sdk = found
      }
    }
    let template = PluginTemplate(name: options.name, sdk: sdk)
    let files = options.language == .swift ? template.swiftFiles : template.cFiles
    do throws(SystemError) {
      for file in files { try write(file, in: directory) }
    } catch {
      Output.complain("\(error)")
      return .unavailable
    }
    return Output.print(
      options.json ? json(files, template, directory) : text(files, template, directory, options))
  }

  private static func write(_ file: PluginTemplate.File, in directory: String) throws(SystemError) {
    let path = "\(directory)/\(file.path)"
    let parent = FilePaths(ofFile: path).directory
    // For whoever works on it, not for the host's user alone.
    var made = ""
    for part in parent.split(separator: "/", omittingEmptySubsequences: false) {
      made += part + "/"
      if mkdir(made, 0o755) < 0, errno != EEXIST { throw SystemError("mkdir \(made)") }
    }
    let descriptor = FileDescriptor(
      raw: try checked("open \(path)") { open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644) })
    defer { descriptor.close() }
    try descriptor.writeAll(Array(file.text.utf8))
  }

  private static func text(
    _ files: [PluginTemplate.File], _ template: PluginTemplate, _ directory: String, _ options: NewOptions
  ) -> String {
    let library = options.language == .swift ? template.swiftLibrary : template.cLibrary
    let build = options.language == .swift ? "swift build -c release && swift test" : "make && make test"
    return """
      \(directory): the plugin '\(options.name)'
      \(files.map { "  \($0.path)\n" }.joined())
      Build and test it:  cd \(ShellWords.line([directory])) && \(build)
      Then check it:      bulkhead test \(library) && bulkhead validate \(library)
      And serve it, by a section of plugins.conf:

        [plugin \(options.name)]
        library = \(HarnessLibrary.absolute(directory))/\(library)
        mount = /\(options.name)

      """
  }

  private static func json(
    _ files: [PluginTemplate.File], _ template: PluginTemplate, _ directory: String
  ) -> String {
    var json = JSONWriter()
    json.object {
      $0.field("name", template.name)
      $0.field("directory", HarnessLibrary.absolute(directory))
      $0.field("files", files.map(\.path))
      $0.field("sdk", template.sdk.isEmpty ? nil : template.sdk)
    }
    return json.text + "\n"
  }
}

/// Where Bulkhead's own package lies, on which a plugin in Swift is built.
enum PluginSDK {
  struct Problem: Error, CustomStringConvertible {
    var description: String
  }

  /// The one named; or else a source tree around this program, or `share/bulkhead/sdk` beside where it is installed.
  static func find(_ named: String?) -> Result<String, Problem> {
    if let named {
      guard isSDK(named) else {
        return .failure(
          Problem(description: "\(named) is not Bulkhead's package: it has no Sources/PluginAPI"))
      }
      return .success(HarnessLibrary.absolute(named))
    }
    var above = HarnessLibrary.absolute(Executable.path)
    while let slash = above.lastIndex(of: "/"), slash != above.startIndex {
      above = String(above[..<slash])
      for candidate in [above, "\(above)/share/bulkhead/sdk"] where isSDK(candidate) {
        return .success(candidate)
      }
    }
    return .failure(
      Problem(description: "Bulkhead's package is nowhere around this program: name it with --sdk DIR"))
  }

  private static func isSDK(_ path: String) -> Bool {
    access("\(path)/Package.swift", R_OK) == 0 && CaseFiles.isDirectory("\(path)/Sources/PluginAPI")
  }
}
