enum NewCommand {
  static func run(_ options: NewOptions) -> ExitStatus {
    Output.complain("'new' is not available in this version")
    return .unavailable
  }
}
