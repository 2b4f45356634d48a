/// The table: groups of cases, each with a host of its own.
enum WayCases {
  struct Group: Sendable {
    var name: String
    var cases: [WayCase]
  }

  static let groups: [Group] = [
    Group(name: "memory", cases: memory),
    Group(name: "heap", cases: heap),
    Group(name: "memory of the host's", cases: hostMemory),
    Group(name: "signals", cases: signals),
    Group(name: "handlers", cases: handlers),
    Group(name: "endings", cases: endings),
    Group(name: "processes", cases: processes),
    Group(name: "limits and names", cases: properties),
    Group(name: "descriptors", cases: descriptors),
    Group(name: "files and output", cases: files),
    Group(name: "hangs", cases: hangs),
    Group(name: "hangs of other languages", cases: otherHangs),
    Group(name: "calls of the host", cases: calls),
    Group(name: "absurd arguments", cases: arguments),
    Group(name: "results and streams", cases: results),
    Group(name: "the processor", cases: processor),
    Group(name: "C++", cases: cxx),
    Group(name: "Rust", cases: rust),
    Group(name: "starts", cases: starts),
    Group(name: "constructors", cases: constructors),
    Group(name: "stops", cases: stops),
    Group(name: "signals to the host", cases: signalsToHost),
    Group(name: "the state directory", cases: state),
  ]

  // MARK: Memory

  private static let memory =
    WayCase.each(
      "null-deref", in: .request, .response, .route, .blocking, .pull, .timer, .thread, is: .out("crashed"))
    + WayCase.each(
      "null-call wild-write noncanonical-write write-to-code write-to-constant jump-to-data stack-smash "
        + "bus-error unmap-own-code", in: .request, is: .out("crashed"))
    + WayCase.each("stack-overflow", in: .request, .blocking, .thread, is: .out("crashed"))
    + WayCase.each("huge-alloca", in: .request, is: .maybe("crashed"))
    .note("far below the stack, whatever lies there is hit")

  private static let heap =
    WayCase.each(
      "double-free invalid-free heap-overflow use-after-free", in: .request, is: .out("crashed"))
    + WayCase.each("heap-overflow", in: .blocking, .thread, is: .out("crashed"))
    + WayCase.each("free-request free-path free-context free-exchange", in: .request, is: .out("crashed"))
    + WayCase.each("exhaust-memory", in: .request, is: .out("crashed")).ending
    .note("what needs memory fails in the whole process")

  private static let hostMemory =
    WayCase.each("before-region after-region host-table", in: .request, is: .out("crashed"))
    + WayCase.each("within-region", in: .request, is: .harmless)
    + WayCase.each("unmap-host-data protect-host-code protect-host-data", in: .request, is: .out("crashed"))
    .ending.note("not even the handler of the fault's signal can run")
    + WayCase.each("all-shared-memory", in: .request, is: .out("crashed", "tampered")).ending

  // MARK: Signals

  private static let signals =
    WayCase.each(
      "raise-SEGV raise-BUS raise-ILL raise-FPE raise-TRAP raise-ABRT", in: .request, is: .out("crashed"))
    + WayCase.each("raise-SYS", in: .request, is: .out("crashed"))
    + WayCase.each(
      "raise-TERM raise-INT raise-QUIT raise-HUP raise-PIPE raise-USR1 raise-USR2 raise-XCPU raise-XFSZ "
        + "raise-CHLD raise-WINCH alarm interval-timer real-time-signals interrupting-handler",
      in: .request, is: .harmless)
    + WayCase.each(
      "stop-self stop-group", in: .request, is: .out("tampered", "hung", "exited", "crashed")
    ).ending
    + WayCase.each("stop-from-terminal", in: .request, is: .maybe("tampered", "hung", "exited", "crashed"))
    .ending
    + WayCase.each("kill-self kill-group", in: .request, is: .maybe("exited", "crashed")).ending
    .note("an operator's SIGKILL looks the same")

  private static let handlers =
    WayCase.each("block-all", in: .request, is: .maybe("tampered")).then(
      .cxx, "null-pointer", .out("crashed"))
    + WayCase.each("block-and-fault reset-and-fault", in: .request, is: .out("crashed")).ending
    .note("the kernel ends a process whose fault has no handler")
    + WayCase.each(
      "reset-handlers ignore-signals own-handlers probe-address", in: .request, is: .maybe("tampered")
    )
    .then(.cxx, "null-pointer", .out("crashed"))
    + WayCase.each("reset-handlers", in: .blocking, .timer, .thread, is: .maybe("tampered"))
    .then(.rust, "unwrap-none", .out("crashed"))
    + WayCase.each("probe-address-politely", in: .request, is: .harmless)
    + WayCase.each("no-alternate-stack", in: .request, is: .maybe("tampered"))
    .then(.cxx, "deep-regex", .out("crashed"))
    + WayCase.each("no-alternate-stack-and-overflow", in: .request, is: .out("crashed")).ending
    .note("the handler has no stack left")
    + WayCase.each("recursion-in-handler", in: .request, is: .out("crashed"))

  // MARK: Endings

  private static let endings =
    WayCase.each(
      "exit exit-zero _exit quick_exit exit-by-system-call", in: .request, is: .out("exited")
    ).ending
    + WayCase.each("exit", in: .response, .blocking, .pull, .timer, is: .out("exited")).ending
    + WayCase.each("abort", in: .request, is: .out("crashed"))
    + WayCase.each(
      "pthread_exit thread-ends-by-system-call cancel-itself", in: .request,
      is: .out("exited", "hung", "crashed", "tampered")
    ).patient(3000).note("a thread that has gone says nothing: the watchdog misses it")
    + WayCase.each("pthread_exit", in: .blocking, is: .out("exited", "hung", "crashed", "tampered"))
    + WayCase.each(
      "divide-by-zero illegal-instruction breakpoint privileged-instruction trap-with-loader-lock "
        + "trap-in-callback", in: .request, is: .out("crashed"))
    + WayCase.each("thread-traps-later", in: .request, is: .out("crashed"))
    + WayCase.each("thread-exit", in: .request, is: .out("exited")).ending
    + WayCase.each("thread-vanishes", in: .request, is: .maybe("exited")).ending
    + WayCase.each("jump-within", in: .request, is: .harmless)
    + WayCase.each("jump-back", in: .request, is: .maybe("crashed", "hung"))
    + WayCase.each(
      "at-exit-hangs at-exit-traps thread-value-traps", in: .request, is: .maybe("crashed", "hung"))

  // MARK: The process

  private static let processes =
    WayCase.each(
      "fork-and-wait fork-and-return fork-twenty fork-and-trap fork-and-hang vfork-and-end reap-all shell "
        + "new-session thousand-threads", in: .request, is: .harmless)
    + WayCase.each("fork-and-return", in: .response, .blocking, is: .harmless)
    + WayCase.each("execute", in: .request, is: .out("exited", "crashed", "hung", "tampered")).ending
    + WayCase.each("execute", in: .thread, is: .maybe("exited", "crashed", "hung", "tampered")).ending
    + WayCase.each("daemonize", in: .request, is: .out("exited")).ending
    + WayCase.each("be-traced", in: .request, is: .maybe("tampered"))
    + WayCase.each("be-traced-and-signalled", in: .request, is: .out("hung", "tampered", "crashed"))
    .note("the thread is stopped by the kernel, within the call")
    + WayCase.each(
      "strict-system-calls", in: .request, is: .out("exited", "hung", "crashed", "tampered")
    ).patient(3000).ending.note(
      "the kernel ends the thread at its next system call, and some kernels the process")

  private static let properties =
    WayCase.each(
      "limit-core limit-stack limit-threads limit-processor-time change-directory file-mode-mask "
        + "clear-environment point-environment-nowhere change-locale name-process not-dumpable end-with-thread "
        + "take-orphans other-personality be-nice batch-scheduling one-processor own-mounts own-network",
      in: .request, is: .harmless)
    + WayCase.each(
      "limit-descriptors limit-file-size change-root change-user", in: .request, is: .maybe("tampered"))
    + WayCase.each("own-descriptor-table", in: .request, is: .maybe("tampered", "hung"))
    + WayCase.each("limit-memory", in: .request, is: .maybe("tampered", "crashed")).ending
    + WayCase.each("race-over-environment", in: .request, is: .maybe("crashed"))

  // MARK: Descriptors and files

  private static let descriptors =
    WayCase.each("close-all replace-unix-sockets", in: .request, is: .maybe("tampered", "exited", "crashed"))
    .ending
    .note("the clients' connections are closed with the others")
    + WayCase.each(
      "close-standard close-input close-output-streams close-listeners shut-listeners replace-listeners "
        + "clear-nonblock signal-on-input clear-close-on-exec shorten-all write-nonsense read-all wait-in-epoll "
        + "use-up-descriptors", in: .request, is: .maybe("tampered"))
    + WayCase.each("close-all", in: .constructor, is: .maybe("tampered", "exited", "crashed", "load-failed"))
    + WayCase.each("close-epoll close-events forget-in-epoll", in: .request, is: .maybe("tampered")).patient(
      3000
    )
    .note("the loop stands still until it is found out")
    + WayCase.each("clear-nonblock close-standard", in: .blocking, is: .maybe("tampered"))
    + WayCase.each("clear-nonblock", in: .timer, is: .maybe("tampered"))

  private static let files =
    WayCase.each("print-a-megabyte print-nonsense write-to-system-log log-flood", in: .request, is: .harmless)
    + WayCase.each("print-a-megabyte", in: .thread, is: .harmless)
    + WayCase.each("lock-state", in: .request, is: .harmless)
    + WayCase.each("print", .rust, in: .request, is: .harmless)

  private static let state =
    WayCase.each("delete-state", in: .request, is: .maybe("tampered")).with { $0.spoilsHost = true }
    .note("commands need the control socket, which is in it")

  // MARK: Hangs

  private static let hangs =
    WayCase.each(
      "spin sleep-for-ever wait-for-signal deadlock wait-for-nobody read-empty-pipe write-full-pipe "
        + "ask-silent-name-server connect-to-full-backlog hang-with-loader-lock hang-with-stream-lock",
      in: .request, is: .out("hung"))
    + WayCase.each("sleep-for-ever", in: .response, .route, .blocking, .pull, .timer, is: .out("hung"))
    + WayCase.each("spin deadlock", .cUsual, in: .request, is: .out("hung"))
    + WayCase.each(
      "slow very-slow-computing", .cUsual, in: .request, .response, .route, .blocking, is: .harmless)
    + WayCase.each("keep-stream-locks", in: .request, is: .harmless)

  private static let otherHangs =
    WayCase.each(
      "lock-twice wait-for-promise wait-for-condition catch-everything-and-go-on", .cxx, in: .request,
      is: .out("hung"))
    + WayCase.each("guarded-static-hangs", .cxx, in: .request, is: .out("hung", "crashed"))
    + WayCase.each(
      "deadlock receive condition sleep spin join-for-ever", .rust, in: .request, is: .out("hung"))

  // MARK: The boundary

  private static let calls =
    WayCase.each(
      "answer-after-return answer-on-other-thread read-after-return write-to-request", in: .request,
      is: .maybe("crashed", "tampered"))
    + WayCase.each("answer-after-return read-after-return", in: .blocking, is: .maybe("crashed", "tampered"))
    + WayCase.each(
      "null-arguments null-exchange null-context null-random wild-context foreign-context route-too-late",
      in: .request, is: .maybe("crashed", "tampered"))

  private static let arguments =
    WayCase.each(
      "bad-header-values ten-thousand-headers ten-thousand-attributes huge-header absurd-statuses broken-problem "
        + "short-structs", in: .request, is: .maybe("crashed"))
    + WayCase.each("bad-header-values huge-header", in: .response, is: .harmless)
    + WayCase.each("huge-body", .cUsual, in: .route, is: .harmless)
    + WayCase.each(
      "absurd-count-in-header absurd-count-in-body absurd-count-in-log missing-bytes absurd-random "
        + "absurd-scope-count", in: .request, is: .maybe("crashed"))
    + WayCase.each("absurd-count-in-error", in: .request, is: .out("crashed", "threw"))

  private static let results =
    WayCase.each("unknown-status absurd-status invalid-status silent-fault", in: .request, is: .out("threw"))
    + WayCase.each("unknown-status", in: .response, .route, .blocking, is: .out("threw"))
    + WayCase.each("respond-at-wrong-time", in: .response, is: .out("threw"))
    + WayCase.each("respond-at-wrong-time", in: .route, is: .maybe("threw"))
    .note("a handler's response is made, whichever word it says it with")
    + WayCase.each("stated-fault", in: .request, .route, is: .out("threw")).mentions(
      "the price list is empty")
    + WayCase.each("stated-fault", in: .timer, .pull, is: .out("threw"))
    + WayCase.each("nonsense-error huge-error", in: .request, is: .out("threw"))
    + WayCase.each("absurd-result", in: .pull, is: .out("threw"))
    + WayCase.each("never-ends absurd-delay write-too-much", in: .pull, is: .harmless)
    + WayCase.each("release-null-deref", in: .pull, is: .out("crashed"))
    + WayCase.each("release-sleep-for-ever", in: .pull, is: .out("hung"))

  private static let processor =
    WayCase.each(
      "trapping-floats rounding-mode flush-denormals direction-flag alignment-checks", in: .request,
      is: .maybe("tampered", "crashed")
    ).then(.cUsual, "check-processor", .harmless)
    + WayCase.each("trapping-floats rounding-mode", in: .blocking, is: .maybe("tampered"))
    .then(.cUsual, "check-processor", .harmless)
    + WayCase.each("trapping-floats-used", in: .request, is: .out("crashed"))

  // MARK: Languages

  private static let cxx =
    WayCase.each(
      "throw-exception", .cxx, in: .request, .response, .route, .blocking, .pull, is: .out("crashed"))
    + WayCase.each(
      "throw-number throw-foreign throw-through-noexcept throw-twice index-out-of-range bad-allocation missing-key "
        + "bad-number rethrow-nothing terminate pure-virtual-call deleted-object null-pointer deep-regex "
        + "thread-not-joined throw-on-thread swallow-cancellation", .cxx, in: .request, is: .out("crashed"))
    + WayCase.each("deep-regex", .cxx, in: .blocking, is: .out("crashed"))
    + WayCase.each("caught other-terminate-handler other-new-handler", .cxx, in: .request, is: .harmless)
    + WayCase.each(
      "thread-local-traps thread-local-hangs static-traps-at-exit", .cxx, in: .request,
      is: .maybe("crashed", "hung"))

  private static let rust =
    WayCase.each("panic", .rust, in: .request, .response, .route, .blocking, is: .out("crashed"))
    + WayCase.each("panic", .rustUnwinds, in: .request, .response, .route, .blocking, is: .out("crashed"))
    + WayCase.each("panic unwrap-none", .rustAborts, in: .request, .route, is: .out("crashed"))
    + WayCase.each(
      "panic-with-value unwrap-none unwrap-error index slice overflow divide shift borrow missing-key unreachable "
        + "capacity allocation stack abort panic-in-drop panic-while-locked panic-in-once null wild double-free "
        + "thread-abort scope-panic", .rust, in: .request, is: .out("crashed"))
    + WayCase.each("exit", .rust, in: .request, is: .out("exited")).ending
    + WayCase.each("thread-panic caught hook-exits hook-panics", .rust, in: .request, is: .harmless)

  // MARK: Life

  private static let startReasons: WayResult = .out("start-failed", "crashed", "hung", "exited")
  private static let starts =
    WayCase.each(
      "null-deref abort exit sleep-for-ever stack-overflow double-free stated-fault silent-fault unknown-status "
        + "pthread_exit block-and-fault", in: .start, is: startReasons)
    + WayCase.each("null-deref exit sleep-for-ever stated-fault", in: .selftest, is: startReasons)
    + WayCase.each("null-deref", in: .timer, .thread, is: .out("crashed")).bySettings
    + WayCase.each("exit", in: .timer, is: .out("exited")).bySettings.ending
    + WayCase.each("throw-exception", .cxx, in: .start, is: startReasons)
    + WayCase.each("panic", .rust, in: .start, is: startReasons)
    + WayCase.each("ten-thousand-of-all absurd-region", in: .start, is: .maybe("start-failed"))
    + WayCase.each(
      "reset-handlers own-handlers block-all close-standard print-a-megabyte fork-and-return", in: .start,
      is: .maybe("tampered"))
    + WayCase.each(
      "execute stop-self", in: .start, is: .out("start-failed", "crashed", "hung", "exited", "tampered"))

  private static let constructors =
    WayCase.each(
      "null-deref abort exit sleep-for-ever stack-overflow execute", in: .constructor,
      is: .out("load-failed", "start-failed", "crashed", "hung", "exited", "tampered"))
    + WayCase.each(
      "print-a-megabyte print-nonsense thousand-threads fork-twenty fork-and-return", in: .constructor,
      is: .harmless)
    + WayCase.each("reset-handlers clear-nonblock close-standard", in: .constructor, is: .maybe("tampered"))
    + WayCase.each(
      "throw-exception", .cxx, in: .constructor, is: .out("load-failed", "start-failed", "crashed"))
    + WayCase.each("missing-symbol", in: .load, is: .out("load-failed")).mentions("nobody_has_this")
    + WayCase.each("own-symbols", in: .load, is: .harmless)
    + WayCase.each("two-versions", in: .load, is: .maybe("load-failed"))
    .note("one process has one library of a name")

  private static let stops =
    WayCase.each("null-deref sleep-for-ever exit abort", in: .stop, is: .harmless)
    .note("judged when it is stopped: the record says it, and nobody waits")
    + WayCase.each("panic", .rust, in: .stop, is: .harmless)
    + WayCase.each("throw-exception", .cxx, in: .stop, is: .harmless)

  private static let signalsToHost =
    WayCase.each("hup-host", in: .request, is: .harmless)
    + WayCase.each("stop-host", in: .request, is: .maybe("tampered")).with { $0.spoilsHost = true }
    .note("nobody wakes a stopped supervisor; the worker serves on")
    + WayCase.each("term-host", in: .request, is: .maybe("tampered")).with { $0.spoilsHost = true }
}
