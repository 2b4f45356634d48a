import Glibc
import LinuxShims

/// What workers say of their ends: where they stood, and what they wrote.
extension Supervisor {
  /// Takes what the worker has written to its standard output and error: lines of the log, with the plugin and the request if
  /// only one is on its stacks.
  func hearOutput(of worker: WorkerHandle, isLast: Bool = false) {
    var fields: [(String, String)]?
    func say(_ line: String) {
      let known = fields ?? self.fields(of: worker)
      fields = known
      Log.shared.write(.warning, line, fields: known)
    }
    let now = Clock.monotonic()
    worker.output.drain(at: now, say)
    if isLast { worker.output.flush(at: now, say) }
  }

  private func fields(of worker: WorkerHandle) -> [(String, String)] {
    let occupants = occupants(of: worker)
    let crashed = occupants.filter(\.hasCrashed)
    let likely = crashed.isEmpty ? occupants : crashed
    var fields = [("generation", "\(worker.generation)")]
    guard let first = likely.first, likely.allSatisfy({ $0.plugin == first.plugin }) else { return fields }
    fields.insert(("plugin", worker.configuration.plugins[first.plugin].name), at: 0)
    if likely.count == 1, !first.requestID.isEmpty { fields.append(("request_id", first.requestID)) }
    return fields
  }

  /// The record with what the worker wrote in its last moments.
  func withLastWords(_ bytes: [UInt8], _ json: JSONValue, of worker: WorkerHandle) -> [UInt8] {
    hearOutput(of: worker)
    guard var fault = Fault(json), let words = lastWords(of: worker, fault.plugin, fault.reason) else {
      return bytes
    }
    fault.lastWords = words
    var json = JSONWriter()
    json.object { fault.write(to: &$0) }
    return json.bytes
  }

  /// What the worker wrote before the plugin's fault. A plugin that hangs has written its words before that, and so as long ago as its call
  /// may have taken.
  func lastWords(of worker: WorkerHandle, _ plugin: String, _ reason: Quarantine.Reason) -> String? {
    var duration = Duration.zero
    if reason == .hung {
      let section = worker.configuration.plugins.first { $0.name == plugin }
      duration = worker.late?.limit ?? section?.timeout ?? Plugin.longestTimeout
    }
    return worker.output.takeLastWords(at: Clock.monotonic(), after: duration.nanoseconds)
  }

  /// The worker is about to die of a signal before it has come to serve, and waits for this: after its death nobody knows what
  /// lay where.
  func noteEnd(of worker: WorkerHandle) {
    for index in 0..<SharedMemory.frameCount {
      let frame = memory.frame(index, generation: worker.generation)
      guard let occupant = frame.occupant, occupant.hasCrashed else { continue }
      worker.end = WorkerHandle.End(
        signal: FrozenThread.name(of: frame.guarded.pointee.signal),
        backtrace: backtrace(in: frame, of: worker))
      guard_let_die(frame.guarded)
    }
  }

  /// The worker is about to be killed, since a plugin of it does not come back from its start: asks where that stands.
  func askWhere(_ plugin: String, stands worker: WorkerHandle) {
    for index in 0..<SharedMemory.frameCount {
      let frame = memory.frame(index, generation: worker.generation)
      guard let occupant = frame.occupant, occupant.phase == FaultFrame.Phase.start,
        occupant.plugin < worker.configuration.plugins.count,
        worker.configuration.plugins[occupant.plugin].name == plugin
      else { continue }
      guard guard_ask(frame.guarded, worker.pid) else { continue }
      FrozenThread.awaitAnswer(in: frame)
      worker.end = WorkerHandle.End(signal: nil, backtrace: backtrace(in: frame, of: worker))
    }
  }

  private func backtrace(in frame: FaultFrame, of worker: WorkerHandle) -> [String] {
    let copies = worker.manifest.plugins.compactMap { entry -> (path: String, original: String)? in
      guard let copy = entry.copy,
        let plugin = worker.configuration.plugins.first(where: { $0.name == entry.name })
      else { return nil }
      return (copy, plugin.libraryPath)
    }
    do throws(FileContents.Failure) {
      let map = try MemoryMap(of: "\(worker.pid)", copies: copies)
      return Backtrace.symbolize(FrozenThread.counters(in: frame), in: map)
    } catch {
      return Backtrace.plain(FrozenThread.counters(in: frame))
    }
  }
}
