#!/bin/sh
# Checks a running host for what went dark in August 2025: one line a check, and 1 at the end if any failed.
#
#   scripts/test-diagnostic-endpoints.sh [URL]         default: http://127.0.0.1:8080
#
# ORIGIN, FOREIGN_ORIGIN and UNKNOWN in the environment stand for an allowed origin, one that is not, and a path without a
# route. Reads only: it signs nobody up and changes nothing.
set -u

url=${1:-http://127.0.0.1:8080}
url=${url%/}
origin=${ORIGIN:-https://velro.ai}
foreign=${FOREIGN_ORIGIN:-https://velro.ai.example.net}
unknown=${UNKNOWN:-/no-such-path}
passed=0 failed=0

case $url in
  -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
command -v curl >/dev/null || { echo "curl is needed" >&2; exit 69; }
work=$(mktemp -d) || exit 69
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# ask METHOD PATH [CURL-OPTION...]: head and body go to files, the status to $status; 000 is no answer.
ask() {
  method=$1 path=$2
  shift 2
  rm -f "$work/head" "$work/body"
  status=$(curl -sS -g --path-as-is -m 10 -o "$work/body" -D "$work/head" -w '%{http_code}' -X "$method" "$@" \
    "$url$path" 2>"$work/error") || { [ -n "$status" ] || status=000; }
  [ -e "$work/head" ] || : >"$work/head"
  [ -e "$work/body" ] || : >"$work/body"
}

# The first value of a response field, without the line's end.
field() { tr -d '\r' <"$work/head" | grep -i "^$1:" | head -n 1 | sed 's/^[^:]*:[[:space:]]*//'; }

pass() { passed=$((passed + 1)); printf 'ok    %s\n' "$1"; }
fail() { failed=$((failed + 1)); printf 'FAIL  %s: %s\n' "$1" "$2"; }

# expect NAME CONDITION-STATUS DETAIL
expect() { if [ "$2" -eq 0 ]; then pass "$1"; else fail "$1" "$3"; fi; }

expect_status() {
  case " $2 " in
    *" $status "*) pass "$1 answers $status" ;;
    *) fail "$1 answers ${2% }" "got $status $(head -c 200 "$work/error" | tr '\n' ' ')" ;;
  esac
}
expect_body() { grep -q "$2" "$work/body"; expect "$1" $? "got $(head -c 200 "$work/body")"; }
expect_field() {
  value=$(field "$2")
  printf '%s' "$value" | grep -qi "$3"
  expect "$1" $? "$2 is '$value'"
}
# Of an answer: that nobody answers shows nothing.
expect_no_field() {
  value=$(field "$2")
  [ "$status" != 000 ] && [ -z "$value" ]
  expect "$1" $? "$2 is '$value', status $status"
}
expect_cors() {
  expect_field "$1 carries CORS for $origin" Access-Control-Allow-Origin "^$origin\$"
  expect_field "$1 carries X-Request-Id" X-Request-Id .
}

# What must answer when everything else is broken.
for path in /health /health/live /__version /__diag/ping /metrics; do
  ask GET $path -H "Origin: $origin"
  expect_status "GET $path" 200
  expect_cors "GET $path"
done
ask GET /health
expect_body "health says ok" '"status" *: *"ok"'
expect_body "no bypass is on" '"bypass" *: *"off"'
ask GET /health/ready
expect_status "GET /health/ready" 200

# Each service answers for itself.
for service in auth credits projects generations; do
  ask GET /api/v1/$service/_ping -H "Origin: $origin"
  expect_status "GET /api/v1/$service/_ping" 200
  expect_cors "GET /api/v1/$service/_ping"
done

# Protected routes refuse, and do not fail.
for path in /api/v1/credits/stats /api/v1/credits/balance /api/v1/projects /api/v1/generations /api/v1/auth/me; do
  ask GET $path -H "Origin: $origin"
  expect_status "GET $path without a token" 401
  expect_field "GET $path names its challenge" WWW-Authenticate '^Bearer'
  expect_field "GET $path answers a problem" Content-Type '^application/problem+json'
  expect_cors "GET $path"
  ask GET $path -H "Origin: $origin" -H 'Authorization: Bearer not.a.token'
  expect_status "GET $path with a bad token" 401
  expect_cors "GET $path with a bad token"
done

# An unknown path is unknown, whoever asks.
ask GET "$unknown" -H "Origin: $origin"
expect_status "GET $unknown" 404
expect_cors "GET $unknown"
ask GET "$unknown" -H 'Authorization: Bearer not.a.token'
expect_status "GET $unknown with a bad token" 404

# Browsers.
for path in /api/v1/credits/stats /api/v1/auth/login "$unknown"; do
  ask OPTIONS "$path" -H "Origin: $origin" -H 'Access-Control-Request-Method: POST' \
    -H 'Access-Control-Request-Headers: authorization,content-type'
  expect_status "preflight of $path" '200 204'
  expect_field "preflight of $path allows $origin" Access-Control-Allow-Origin "^$origin\$"
  expect_field "preflight of $path allows Authorization" Access-Control-Allow-Headers authorization
  ask OPTIONS "$path" -H "Origin: $foreign" -H 'Access-Control-Request-Method: POST'
  expect_no_field "preflight of $path refuses $foreign" Access-Control-Allow-Origin
done
ask GET /api/v1/credits/stats -H "Origin: $foreign"
expect_no_field "a 401 shows nothing to $foreign" Access-Control-Allow-Origin

# What the parser refuses still reaches the front end.
ask GET /%00 -H "Origin: $origin"
expect_status "GET /%00" 400
expect_cors "GET /%00"

# Diagnostics, if they are shown to this machine.
ask GET /__diag/plugins
case $status in
  200)
    pass "GET /__diag/plugins answers 200"
    ! grep -Eq '"state" *: *"(failed|quarantined|probing)"' "$work/body"
    expect "no plugin is out" $? "$(grep -Eo '"name" *: *"[^"]*"|"state" *: *"[^"]*"|"reason" *: *"[^"]*"' "$work/body" | tr '\n' ' ' | head -c 600)"
    expect_body "the configuration is the file's" '"status" *: *"active"'
    for path in /__diag/middleware /__diag/routes /__diag/requests /__diag/faults /__diag/config /__diag/request \
      "/__diag/cors?origin=$origin&path=/api/v1/credits/stats" '/__diag/trace?path=/api/v1/credits/stats'; do
      ask GET "$path"
      expect_status "GET $path" 200
    done
    ask GET /__diag/error/503 -H "Origin: $origin"
    expect_status "GET /__diag/error/503" 503
    expect_cors "GET /__diag/error/503"
    ;;
  401 | 403 | 404) printf 'skip  diagnostics: not shown to us (%s)\n' "$status" ;;
  *) fail "GET /__diag/plugins" "got $status" ;;
esac

printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
