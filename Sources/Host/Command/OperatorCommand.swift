/// `reload`, `stop`, `quarantine`, `release`, `bypass`, `drain` and `log-level`: one line to the running host, and its
/// answer.
enum OperatorCommand {
  static func run(_ options: OperatorOptions) -> ExitStatus {
    switch answer(to: options.line, configuration: options.configuration) {
    case .failure(let status): return status
    case .success(let answer):
      let status: ExitStatus = answer.isYes ? .success : .no
      if options.json {
        var json = JSONWriter()
        json.object {
          $0.field("ok", answer.isYes)
          $0.field("message", answer.text.trimmingLineEnd)
        }
        return Output.print(json.text + "\n", then: status)
      }
      if answer.isYes { return Output.print(answer.text, then: status) }
      for line in answer.text.split(separator: "\n") { Output.complain(String(line)) }
      return status
    }
  }

  /// What the running host answers; or the status to end with, when that has been said already.
  static func answer(to line: String, configuration: String) -> Result<ControlClient.Answer, ExitStatus> {
    switch ask(line, configuration: configuration) {
    case .success(let answer): return .success(answer)
    case .failure(.host(.late(let limit))):
      return .success(
        ControlClient.Answer(
          isYes: false,
          text: "the host has been told, but has not ended within \(ValueText.render(limit)): see its log\n"))
    case .failure(let failure):
      Output.complain(failure.description)
      return .failure(.unavailable)
    }
  }

  enum Failure: Error, CustomStringConvertible {
    /// Where the host keeps its socket is not known.
    case configuration(ConfigurationErrors)
    case host(ControlClient.Failure)

    var description: String {
      switch self {
      case .configuration(let errors): "\(errors)"
      case .host(let failure): "\(failure)"
      }
    }
  }

  /// For a host to end beyond its drain-timeout: 2 s after that it kills what has not ended.
  private static let stopMargin = Duration.seconds(7)

  /// What the running host answers.
  static func ask(_ line: String, configuration: String) -> Result<ControlClient.Answer, Failure> {
    switch ControlClient.host(ofConfiguration: configuration) {
    case .failure(let errors): return .failure(.configuration(errors))
    case .success(let host):
      // The end comes by then, if the host is not at a standstill itself.
      let limit = line == "stop" ? host.drainTimeout + OperatorCommand.stopMargin : nil
      do throws(ControlClient.Failure) {
        return .success(
          try ControlClient.ask(line, stateDirectory: host.stateDirectory, within: limit))
      } catch {
        return .failure(.host(error))
      }
    }
  }
}

extension String {
  /// Without one line feed at its end.
  var trimmingLineEnd: String { hasSuffix("\n") ? String(dropLast()) : self }
}
