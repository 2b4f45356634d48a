# What a step of the drill is made of. Sourced by scripts/drill.

step=0 culprits=0 wrongs=()
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
  echo $step >"$work/step.new" && mv "$work/step.new" "$work/step"
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
show() {
  local output
  typed "$*"
  output=$("$@" 2>&1) || wrong "'$*' ends with $?"
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
# name PLUGIN REASON TEXT: diagnostics must blame this plugin for this reason, with this in the message. A fault that it
# met while its generation was proven stands in the message of its failed start.
name() {
  culprits=$((culprits + 1))
  hold "the operator is told that $1 is out: $2, $3" is "$1" \
    "(.state == \"quarantined\" or .state == \"failed\") and (.last_fault | .message |= tostring
      | (.reason == \"$2\" or (.message | contains(\": $2: \"))) and (.message | contains(\"$3\")))" || return
  say "operator   $(field_of "$1" '"\(.name) \(.version // "") \(.state), \(.last_fault.reason): \(.last_fault.message)"' | tr -s ' ' | places)"
  say "           since $(field_of "$1" .last_fault.at), named $took ms after the deployment"
  printf '%s %s: %s, %s ms\n' "$time" "$1" "$2" "$took" >>"$work/named"
}

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
