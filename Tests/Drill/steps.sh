# What a step of the drill is made of. Sourced by scripts/drill.

step=0 culprits=0 kills=0 wrongs=()
for file in answers.tsv begun ended allowed named; do : >"$work/$file"; done

lines() { wc -l <"$work/$1"; }
more_than() { [ "$(lines "$1")" -gt "$2" ]; }
# Waits until the clients have gone through COUNT whole rounds that began after now.
rounds() { until_true more_than ended $(($(lines begun) + $1 - 1)); }

# begin TIME TITLE [GROUP:PLUGIN...]: from now on requests of these groups may be refused on account of that plugin.
begin() {
  time=$1 step=$((step + 1))
  printf '%s  %s\n' "$1" "$2"
  shift 2
  for pair in "$@"; do printf '%s\t%s\t%s\n' $step "${pair%%:*}" "${pair#*:}"; done >>"$work/allowed"
  echo "$step $place" >"$work/step.new" && mv "$work/step.new" "$work/step"
  [ $step -gt 1 ] || open_shop
  until_true grep -qx $step "$work/begun" || wrong 'the clients do not begin'
  began=$(now_ms)
}
# Names of files without the directory that they are all in.
places() { sed "s|$work/||g"; }
say() { printf '       %s\n' "$1"; }
wrong() { wrongs+=("at $time: $1"); say "DARK       $1"; }
typed() { say "\$ $1"; }
# show COMMAND...: what the operator types, and what is printed.
show() { expect 0 "$@"; }
# expect STATUS COMMAND...: the same, of a command that ends so.
expect() {
  local output wanted=$1 got=0
  shift
  typed "$*"
  output=$("$@" 2>&1) || got=$?
  [ $got -eq "$wanted" ] || wrong "'$*' ends with $got"
  printf '%s\n' "$output" | places | sed 's/^/       | /; s/ *$//'
}

# hold WHAT CONDITION...: the condition must come to hold within the step.
hold() {
  local what=$1
  shift
  if until_true "$@"; then
    took=$(($(now_ms) - began))
  else
    wrong "after $deadline s not yet: $what"
    return 1
  fi
}
# Whom diagnostics blame, for which reason, and with what in the message: PLUGIN REASON TEXT. Each culprit is counted once.
#
# name: it is out. A fault that it met while its generation was proven stands in the message of its failed start.
name() {
  culprits=$((culprits + 1))
  hold "the operator is told that $1 is out: $2, $3" is_out "$@" || return
  say "operator   $(field_of "$1" '"\(.name) \(.version // "") \(.state), \(.last_fault.reason): \(.last_fault.message)"' | tr -s ' ' | places)"
  say "           since $(field_of "$1" .last_fault.at), named $took ms after the deployment"
  named "$1" "$2"
}
# held: on its account, or on that of no plugin if it is empty, a change is held, and nobody has met it.
held() {
  local item
  culprits=$((culprits + 1))
  hold "the operator is told that a change is held: $1 $2, $3" is_held "$@" || return
  item=$(jq -r "[$(held_items "$@")][0] | \"\(.plugin // \"plugins.conf\") held, \(.reason): \(.message)\"" <<<"$snapshot" | places)
  say "operator   $item"
  [ -z "$1" ] || say "           $(field_of "$1" '"\(.name) \(.version) \(.state)"') all the while, held $took ms after the deployment"
  named "${1:-plugins.conf}" "$2"
}
# blame: the one or the other, or what served before has taken its place.
blame() {
  hold "the operator is told of $1: $2, $3" is_blamed "$@"
  if is_out "$@"; then
    name "$@"
  elif is_held "$@"; then
    held "$@"
  else
    culprits=$((culprits + 1))
    hold "$1 is rolled back" is "$1" '.rolled_back != null' && named "$1" 'rolled back'
  fi
}
is_out() {
  is "$1" "(.state == \"quarantined\" or .state == \"failed\") and (.last_fault | .message |= tostring
    | (.reason == \"$2\" or (.message | contains(\": $2: \"))) and (.message | contains(\"$3\")))"
}
held_items() {
  printf '.config.held[] | select((.plugin // "") == "%s" and .reason == "%s" and (.message | contains("%s")))' "$@"
}
is_held() { sees ".config.status == \"held\" and any($(held_items "$@"); true)"; }
is_blamed() { is_out "$@" || is_held "$@" || is "$1" '.rolled_back != null'; }
named() { printf '%s %s: %s, %s ms\n' "$time" "$1" "$2" "$took" >>"$work/named"; }

# What the clients saw in this step.
finish() {
  rounds 2 || wrong "the clients do not come round"
  awk -F '\t' -v step=$step -v origin="$origin" -f "$root/Tests/Drill/judge.awk" "$work/allowed" "$work/answers.tsv" >"$work/seen"
  sed -n 's/^say //p' "$work/seen" | while IFS= read -r line; do say "$line"; done
  while read -r line; do wrong "$line"; done < <(sed -n 's/^dark //p' "$work/seen")
}

# ---- What single steps look for ----------------------------------------------------------------------------------

balance() { curl -sS -m 5 -H "Authorization: Bearer $token" "$url/api/v1/credits/balance" 2>/dev/null | jq .current_balance; }

# Who answered the last public request that was refused, as /__diag/requests has it.
refusal() {
  curl -sS -m 5 "$url/__diag/requests" 2>/dev/null |
    jq -e -r '[.requests[] | select(.status == 403)][0] | [.plugins[] | select(.outcome == "responded")][0] as $by
      | "\(.method) \(.path) \(.status): \($by.plugin) \($by.outcome) in its \($by.phase) phase"' 2>/dev/null
}
refused_by() { refusal | grep -q " $1 responded"; }

# rolled_back FILE: the copy that served well runs in the place of this one, and diagnostics say so.
rolled_back() {
  local to
  to=$(sha256 "$release/libAuthPlugin.so")
  hold 'auth is rolled back' is auth \
    ".state == \"active\" and .rolled_back.from == \"$(sha256 "$1")\" and .rolled_back.to == \"$to\"" || return
  say "operator   $(field_of auth '"\(.name) \(.version) \(.state), rolled back from \(.rolled_back.from[:12]) to \(.rolled_back.to[:12])"'), $took ms after the deployment"
}

is_kept() { # PLUGIN LIBRARY: it serves with its real library, in the place of its file
  is "$1" ".state == \"active\" and .rolled_back.to == \"$(sha256 "$release/lib$2.so")\""
}

health() { curl -sS -m 5 "$url/health" 2>/dev/null; }
health_is() { [ "$(health | jq -r "$1" 2>/dev/null)" = "$2" ]; }

# write_slowly FILE: over plugins.conf, in ten pieces, the file open all the while. It takes three seconds.
write_slowly() {
  local pieces=$work/pieces piece begun
  rm -rf "$pieces" && mkdir "$pieces" && split -n l/10 "$1" "$pieces/"
  begun=$(now_ms)
  exec 8>"$conf"
  for piece in "$pieces"/*; do
    cat "$piece" >&8
    sleep 0.3
    # The host's patience ends after 5 s: a machine so busy proves nothing.
    [ $(($(now_ms) - begun)) -gt 4500 ] || sees '.config.status == "active"' || wrong 'a part of the file is not waited with'
  done
  exec 8>&-
}

worker() { bulkhead status --json 2>/dev/null | jq -r '.generations[] | select(.state == "serving") | .pid'; }
other_worker_than() { local now; now=$(worker) && [ -n "$now" ] && [ "$now" != "$1" ]; }

# Returns between two rounds of the clients, of which the next begins once the file is removed.
pause_clients() {
  rm -f "$work/paused"
  : >"$work/pause"
  hold 'the clients pause' test -e "$work/paused"
}

# Kills the worker between two rounds of the clients, as what is in flight in it ends with it. The next round comes at once.
kill_worker() {
  local pid
  pid=$(worker)
  pause_clients
  typed "kill -9 $pid"
  kill -9 "$pid" || wrong "the worker $pid cannot be killed"
  kills=$((kills + 1))
  rm "$work/pause"
  hold 'another worker serves' other_worker_than "$pid" && say "operator   generation $(health | jq .generation) serves"
}
