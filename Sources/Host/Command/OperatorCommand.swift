/// `reload`, `stop`, `quarantine`, `release`, `bypass`, `drain` and `log-level`: one line to the running host, and its
/// answer.
enum OperatorCommand {
  static func run(_ options: OperatorOptions) -> ExitStatus {
    let search = HostSearch(stateDirectory: options.stateDirectory, configuration: options.configuration)
    switch answer(to: options.line, search) {
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
  static func answer(to line: String, _ search: HostSearch) -> Result<ControlClient.Answer, ExitStatus> {
    switch ask(line, search) {
    case .success(let found):
      if let note = found.note { Output.complain(note) }
      return .success(found.answer)
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
    /// Nobody answers in any place; which they are, and why.
    case nobody(String)
    case host(ControlClient.Failure)

    var description: String {
      switch self {
      case .nobody(let why): why
      case .host(let failure): "\(failure)"
      }
    }
  }

  /// For a host to end beyond its drain-timeout: 2 s after that it kills what has not ended.
  private static let stopMargin = Duration.seconds(7)

  struct Found {
    var answer: ControlClient.Answer
    /// What to say beside it: the host was not found where its configuration says.
    var note: String?
  }

  /// What the running host answers, in the first place where there is one.
  static func ask(_ line: String, _ search: HostSearch) -> Result<Found, Failure> {
    // The end comes by then, if the host is not at a standstill itself.
    let limit = line == "stop" ? search.drainTimeout + OperatorCommand.stopMargin : nil
    var refusal: ControlClient.Failure?
    for place in search.places {
      do throws(ControlClient.Failure) {
        let answer = try ControlClient.ask(line, stateDirectory: place.directory, within: limit)
        return .success(Found(answer: answer, note: search.note(on: place)))
      } catch {
        switch error {
        case .notRunning: continue
        // What cannot be looked at may be where the host is.
        case .system: refusal = refusal ?? error
        case .noAnswer, .late: return .failure(.host(error))
        }
      }
    }
    return .failure(refusal.map { .host($0) } ?? .nobody(search.failure(living: HostRecord.living())))
  }
}

extension String {
  /// Without one line feed at its end.
  var trimmingLineEnd: String { hasSuffix("\n") ? String(dropLast()) : self }
}
