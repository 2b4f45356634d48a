import Glibc
import Synchronization

/// The children of this process (waitid(2)): those that it has started, and those that fall to it.
///
/// As PID 1 of a container, or by PR_SET_CHILD_SUBREAPER, a process becomes the parent of those whose own has ended, and
/// they stay in the process table until it reaps them. The statuses of those that were started here are somebody's, who
/// waits for them by their ids. Any thread.
enum Children {
  /// Started by `Spawn`, and not reaped yet.
  private static let started = Mutex<Set<pid_t>>([])

  /// Notes the child that `spawn` starts, before anybody can find it ended.
  ///
  /// - Returns: what `spawn` does: an id, or an error's negated number.
  static func note(_ spawn: () -> pid_t) -> pid_t {
    started.withLock { started in
      let pid = spawn()
      if pid > 0 { started.insert(pid) }
      return pid
    }
  }

  /// Waits until the child has ended.
  ///
  /// - Returns: its wait status; nil if there is no such child.
  static func reap(_ pid: pid_t) -> Int32? {
    var status: Int32 = 0
    var found: pid_t
    repeat { found = waitpid(pid, &status, 0) } while found < 0 && errno == EINTR
    started.withLock { _ = $0.remove(pid) }
    return found == pid ? status : nil
  }

  /// Reaps those that have ended, and that nobody here has started. Does not wait.
  ///
  /// The kernel shows one at a time: should it be somebody's, those behind it have to wait until that one is reaped.
  static func reapOthers() {
    started.withLock { started in
      while true {
        var info = siginfo_t()
        guard waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 else { return }
        let pid = info._sifields._sigchld.si_pid
        guard pid > 0, !started.contains(pid), waitpid(pid, nil, WNOHANG) == pid else { return }
      }
    }
  }
}
