import Glibc

/// Sends one request through a part of a configuration's plugins, in a process of its own. Reports one line:
/// `{"status":503,"fault":{…}}`, or `{"error":"…"}`.
struct BisectRun {
  private let job: HarnessJob
  private let directory: String
  private let reporter: HarnessReporter

  static let stateDirectory = "state"

  init(_ job: HarnessJob, directory: String, _ reporter: HarnessReporter) {
    self.job = job
    self.directory = directory
    self.reporter = reporter
  }

  func run() throws(SystemError) {
    switch ConfigurationFile.load(path: job.file, environment: Environment.all) {
    case .failure(let errors): reporter.say { $0.field("error", errors.description) }
    case .success(var configuration):
      configuration.plugins.removeAll { !job.plugins.contains($0.name) }
      configuration.host.stateDirectory = "\(directory)/\(BisectRun.stateDirectory)"
      configuration.host.probes = []
      configuration.host.logLevel = .error
      try send(through: configuration)
    }
    // A thread may be frozen in a plugin.
    _exit(0)
  }

  private func send(through configuration: Configuration) throws(SystemError) {
    let host = try TestWorker(configuration)
    let answer: Result<CaseAnswer, LoopClient.Failure>
    do throws(LoopClient.Failure) {
      answer = .success(try host.send(job.request, number: 1, within: job.timeLimit))
    } catch {
      answer = .failure(error)
    }
    // That of a frozen thread is recorded about when the request is answered.
    usleep(100_000)
    let fault = host.worker.faults.latest.first
    reporter.say { json in
      switch answer {
      case .success(let answer): json.field("status", answer.status)
      case .failure(let failure): json.field("error", failure.description)
      }
      if let fault { json.object("fault") { fault.write(to: &$0) } }
    }
  }
}
