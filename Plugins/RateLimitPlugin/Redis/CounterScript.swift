/// What Redis runs for a request: all its limits at once, in one step, and on Redis's own clock.
///
/// The same algorithm as `GCRA`, which see. Lua's numbers are doubles, which hold no time since 1970 in nanoseconds;
/// so times are pairs of seconds and nanoseconds, each a whole number far below 2^53, and nothing is ever rounded.
enum CounterScript {
  /// ```
  /// KEYS      one a limit: the state, a decimal number of nanoseconds since 1970
  /// ARGV      four a limit: the interval's seconds and nanoseconds, the tolerance's seconds and nanoseconds
  /// replies   1 if all limits allow the request, and then it is counted by all; else 0
  ///           the time: seconds, microseconds
  ///           one a limit: its state before, null if it has none
  /// ```
  /// A key expires when it holds nothing that a new one would not, and two seconds later at most.
  static let text = """
    local time = redis.call('TIME')
    local now_s, now_n = tonumber(time[1]), tonumber(time[2]) * 1000
    local stored = redis.call('MGET', unpack(KEYS))
    local next_s, next_n, allowed = {}, {}, 1

    local function sum(a_s, a_n, b_s, b_n)
      local s, n = a_s + b_s, a_n + b_n
      if n >= 1000000000 then return s + 1, n - 1000000000 end
      return s, n
    end

    local function later(a_s, a_n, b_s, b_n)
      return a_s > b_s or (a_s == b_s and a_n > b_n)
    end

    for i = 1, #KEYS do
      local interval_s, interval_n = tonumber(ARGV[4 * i - 3]), tonumber(ARGV[4 * i - 2])
      local limit_s, limit_n = sum(now_s, now_n, tonumber(ARGV[4 * i - 1]), tonumber(ARGV[4 * i]))
      local s, n = now_s, now_n
      local state = stored[i]
      if state and #state > 9 and #state <= 19 and not string.find(state, '%D') then
        local state_s, state_n = tonumber(string.sub(state, 1, -10)), tonumber(string.sub(state, -9))
        if later(state_s, state_n, s, n) then s, n = state_s, state_n end
      end
      s, n = sum(s, n, interval_s, interval_n)
      if later(s, n, limit_s, limit_n) then allowed = 0 end
      next_s[i], next_n[i] = s, n
    end

    if allowed == 1 then
      for i = 1, #KEYS do
        local state = string.format('%.0f%09.0f', next_s[i], next_n[i])
        redis.call('SET', KEYS[i], state, 'PX', string.format('%.0f', (next_s[i] - now_s + 2) * 1000))
      end
    end
    return {allowed, time[1], time[2], unpack(stored, 1, #KEYS)}
    """

  /// The script's reply, read.
  struct Decision: Equatable {
    var isAllowed: Bool
    /// In nanoseconds since 1970, on Redis's clock.
    var now: UInt64
    /// One a limit; 0 for none.
    var states: [UInt64]
  }

  /// A limit's four arguments.
  static func arguments(of rate: GCRA) -> [String] {
    [rate.interval, rate.tolerance].flatMap { time in
      [String(time / 1_000_000_000), String(time % 1_000_000_000)]
    }
  }
}
