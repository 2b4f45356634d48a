# The judgement at the end of the drill. Sourced by scripts/drill.

verdict() { # WHAT DETAIL CONDITION-STATUS
  if [ "$3" -eq 0 ]; then
    printf 'ok    %s: %s\n' "$1" "$2"
  else
    printf 'DARK  %s: %s\n' "$1" "$2"
    wrongs+=("at the end: $1: $2")
  fi
}
# count AWK-CONDITION: answers of the whole night for which it holds.
# shellcheck disable=SC2016 # the conditions are awk's
count() { awk -F '\t' -v origin="$origin" "$1 { n++ } END { print n + 0 }" "$work/answers.tsv"; }

judgement() {
  local all asked got connects
  look_at "$work"
  # What is still coming in would be counted in one line, and not in the next.
  pause_clients
  kill "$session" 2>/dev/null
  wait "$session" 2>/dev/null
  echo
  all=$(count 1)
  asked=$(count '$2 == "built-in"') got=$(count '$2 == "built-in" && $5 == 200')
  [ "$all" -gt 0 ] || wrongs+=('at the end: no client got through')
  verdict 'health, version, diagnostics and metrics answered' "$got of $asked" $((asked - got))
  read -r got asked < <(awk -F '\t' 'FILENAME == ARGV[1] { broken[$1, $2]; next } !(($1, $2) in broken) { n++; served += $5 == $3 }
    END { print served + 0, n + 0 }' "$work/allowed" "$work/answers.tsv")
  verdict 'what depends on nothing broken was served' "$got of $asked" $((asked - got))
  asked=$(count '$2 == "signed-out"') got=$(count '$2 == "signed-out" && $5 >= 400')
  verdict 'no protected route was opened' "$got of $asked strangers refused" $((asked - got))
  got=$(count '$5 != "000"')
  verdict 'no request was left without an answer' "$got of $all" $((all - got))
  got=$(count '$7 == origin')
  verdict 'every answer could be read by the browser (CORS)' "$got of $all" $((all - got))
  got=$(count '$8 != ""')
  verdict 'every answer had its X-Request-Id' "$got of $all" $((all - got))
  asked=$(count '$5 >= 400') got=$(count '$5 >= 400 && $9 ~ /^application\/problem\+json/ && $10 != ""')
  verdict 'every 4xx and 5xx was a problem with a code' "$got of $asked" $((asked - got))
  got=$(count '$5 == 500')
  verdict 'nothing answered 500' "$((all - got)) of $all" "$got"
  got=$(awk -F '\t' '$2 != 0 || $1 != 200 { n++ } END { print n + 0 }' "$work/session.tsv")
  connects=$(awk -F '\t' '{ n += $3 } END { print n + 0 }' "$work/session.tsv")
  verdict 'one connection lasted through the night, but for the worker that was killed' \
    "$(wc -l <"$work/session.tsv") requests, $got failed, $connects connects" $((got > kills || connects > 1 + kills))
  got=$(curl -sS -m 5 "$url/__diag/plugins" 2>/dev/null | jq -r .generation)
  [ "$(bulkhead status --json | jq .pid)" = "$host" ]
  verdict 'the host was never restarted' "pid $host from first to last, generation $got at the end" $?
  verdict 'each culprit was named in its own step' "$(paste -sd ';' "$work/named" | sed 's/;/; /g')" \
    $(($(lines named) != culprits))
  echo
  if [ ${#wrongs[@]} -eq 0 ]; then
    echo "NOTHING WENT DARK: $step steps, $all answers, $(count '$5 != $3') of them refusals that say why."
    exit 0
  fi
  echo "IT WENT DARK: ${#wrongs[@]} findings in $step steps, the first ${wrongs[0]}"
  exit 1
}
