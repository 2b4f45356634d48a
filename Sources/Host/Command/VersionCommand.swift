/// `bulkhead version`: what this build is.
enum VersionCommand {
  static func run(json isJSON: Bool) -> ExitStatus {
    guard isJSON else {
      return Output.print(
        "bulkhead \(Version.host) (commit \(Version.commit), plugin ABI \(Version.abi), Swift \(Version.swift))\n"
      )
    }
    var json = JSONWriter()
    json.object {
      $0.field("version", Version.host)
      $0.field("commit", Version.commit)
      $0.field("abi", Version.abi)
      $0.field("swift", Version.swift)
    }
    return Output.print(json.text + "\n")
  }
}
