# The clients of the drill. Sourced by scripts/drill.

# Ada signs up at 02:59; her token has to be good at the end of the night.
curl -sS -m 20 -o "$work/ada.json" "$url/api/v1/auth/register" -H 'Content-Type: application/json' \
  -d '{"email":"ada@example.org","password":"correct horse battery staple","display_name":"Ada"}' 2>"$work/ada.error"
token=$(jq -r '.access_token // empty' "$work/ada.json" 2>/dev/null)
[ -n "$token" ] || unable "nobody can sign up: $(head -c 300 "$work/ada.json" "$work/ada.error")"

# What a browser in the shop asks for, over and over: group, the status when all is well, method, path.
cat >"$work/asked" <<END
built-in 200 GET /health
built-in 200 GET /health/live
built-in 200 GET /__version
built-in 200 GET /__diag/ping
built-in 200 GET /__diag/plugins
built-in 200 GET /metrics
preflight 204 OPTIONS /api/v1/credits/balance
preflight 204 OPTIONS /api/v1/generations
public 200 GET /api/v1/generations/models/supported
public 200 GET /api/v1/credits/_ping
public 200 GET /api/v1/projects/_ping
public 404 GET /no-such-path
signed-in 200 GET /api/v1/credits/balance
signed-in 200 GET /api/v1/projects
signed-out 401 GET /api/v1/credits/balance
auth 200 GET /api/v1/auth/_ping
END

# The same as a curl configuration: one process a round, so that the requests share a connection, as a browser's do.
requests_of() { # URL
  local url=$1 index=0 group method path
  while read -r group _ method path; do
    index=$((index + 1))
    printf 'url = "%s%s"\nrequest = %s\nheader = "Origin: %s"\noutput = "%s/client/%s"\n' \
      "$url" "$path" "$method" "$origin" "$work" "$index"
    case $group in
      signed-in) printf 'header = "Authorization: Bearer %s"\n' "$token" ;;
      preflight) printf 'header = "Access-Control-Request-Method: %s"\n' PATCH
        printf 'header = "Access-Control-Request-Headers: authorization"\n' ;;
    esac
    printf 'max-time = 20\nsilent\nwrite-out = "%s"\nnext\n' '%{http_code}\t%{exitcode}\t%header{access-control-allow-origin}\t%header{x-request-id}\t%header{content-type}\n'
  done <"$work/asked" | sed '$d'
}
requests_of "$url" >"$work/client.curl"

# answers.tsv: step, group, expected, method and path, status, curl's exit code, allowed origin, request id, type, code, plugin.
client() {
  local step whom
  while read -r step whom <"$work/step"; do
    if [ -e "$work/pause" ]; then
      : >"$work/paused"
      sleep 0.02
      continue
    fi
    echo "$step" >>"$work/begun"
    rm -f "$work/client/"*
    curl -K "$whom/client.curl" >"$work/round" 2>/dev/null
    awk -v OFS='\t' -v step="$step" -v bodies="$work/client/" '
      function member(name) { return match(body, "\"" name "\":\"[^\"]*\"") ? substr(body, RSTART + length(name) + 4, RLENGTH - length(name) - 5) : "" }
      NR == FNR { asked[FNR] = $1 "\t" $2 "\t" $3 " " $4; next }
      { split($0, got, "\t"); body = ""
        if (got[5] ~ /^application\/problem\+json/) { getline body < (bodies FNR); close(bodies FNR) }
        print step, asked[FNR], got[1], got[2], got[3], got[4], got[5], member("code"), member("plugin") }
    ' "$work/asked" "$work/round" >>"$work/answers.tsv"
    echo "$step" >>"$work/ended"
    sleep 0.5
  done
}

# One more client, with one connection for the whole night: two requests a second, of a route that depends on nothing broken.
session() {
  # To standard error, which is not held back in a buffer until the end, nor lost at it.
  exec curl -s --rate 2/s -H "Origin: $origin" -o /dev/null \
    -w '%{stderr}%{http_code}\t%{exitcode}\t%{num_connects}\t%header{access-control-allow-origin}\n' \
    "$url/health/live?[1-100000]" >/dev/null 2>"$work/session.tsv"
}

open_shop() {
  client &
  children+=($!)
  session &
  session=$!
  children+=("$session")
}
