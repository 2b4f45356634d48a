# Judges every answer of a step by one rule. It may be the status of a good day; or, in a group that depends on what is broken, a
# refusal that says so: a problem with a code, and if it is a 5xx a plugin, or the code of a state of the host itself (starting).
# Always with CORS headers and a request id.
#
#   awk -F '\t' -v step=N -v origin=ORIGIN -f judge.awk allowed answers.tsv
#
# Prints lines `say …` for people, and `dark …` for each kind of answer that is not right.
FILENAME == ARGV[1] { if ($1 == step) blamed[$2] = blamed[$2] " " $3; next }
$1 != step { next }
{
  group = $2; expected = $3; what = $4; status = $5
  if (!(group in known)) { known[group] = 1; order[++groups] = group }
  why = ""
  isProblem = $9 ~ /^application\/problem\+json/ && $10 != ""
  if (status == "000") why = "(no answer, curl " $6 ")"
  else if ($7 != origin) why = "without CORS headers"
  else if ($8 == "") why = "without X-Request-Id"
  else if (status >= 400 && !isProblem) why = "without problem+json"
  else if (status != expected) {
    if (!(group in blamed)) why = "though it depends on nothing broken"
    else if (status ~ /^(503|504)$/) {
      cause = $11 == "" ? $10 : $11
      if (index(blamed[group] " ", " " cause " ") == 0) why = "and blames '" cause "', not" blamed[group]
    }
    else if (status !~ /^(401|403|429)$/) why = "neither served nor refused"
  }
  total++
  if ($7 == origin) allowed++
  if ($8 != "") identified++
  if (status >= 400 && isProblem) problems++
  if (status >= 400) errors++
  seen[group, status]++
  if (!((group, status) in listed)) { listed[group, status] = 1; statuses[group] = statuses[group] " " status }
  if (status != expected && why == "") {
    refused++
    by = $10 ($11 == "" ? "" : " by " $11)
    if (!refusals[by]++) causes[++kinds] = by
  }
  if (why != "") {
    key = group " answers " status " " why
    if (!darkness[key]++) { dark[++darks] = key; example[key] = what }
  }
}
END {
  line = "clients   "
  for (i = 1; i <= groups; i++) {
    line = line (i > 1 ? "," : "") " " order[i]
    count = split(statuses[order[i]], list, " ")
    for (j = 1; j <= count; j++) line = line " " list[j] "x" seen[order[i], list[j]]
  }
  print "say " line
  line = ""
  for (i = 1; i <= kinds; i++) line = line (i > 1 ? ", " : " (") refusals[causes[i]] " " causes[i] (i == kinds ? ")" : "")
  print "say            CORS " allowed + 0 "/" total + 0 ", X-Request-Id " identified + 0 "/" total + 0 ", problem+json " problems + 0 "/" errors + 0 ", refused " refused + 0 line
  if (total == 0) print "dark no client got through"
  for (i = 1; i <= darks; i++) print "dark " dark[i] ": " darkness[dark[i]] " times, such as " example[dark[i]]
}
