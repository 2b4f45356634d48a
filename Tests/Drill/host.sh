# The host of the drill: its place, its libraries, and how it is looked at. Sourced by scripts/drill.

for tool in curl jq awk; do command -v $tool >/dev/null || unable "$tool is needed: make deps installs it"; done
curl -fsS -o /dev/null -w '%header{x}' --rate 10/s file:///dev/null 2>/dev/null || unable "curl 7.84 or later is needed"
if [ -z "${BULKHEAD_BINARY:-}" ]; then
  BULKHEAD_BINARY=$root/.build/release/bulkhead
  [ -x "$BULKHEAD_BINARY" ] || make --no-print-directory -C "$root" build >&2 || unable "the release build failed"
fi
[ -x "$BULKHEAD_BINARY" ] || unable "$BULKHEAD_BINARY is no program"
release=$(cd "$(dirname "$BULKHEAD_BINARY")" && pwd)

work=$(mktemp -d) || unable "no temporary directory"
releases=$work/releases
children=()
cleanup() {
  for child in "${children[@]}"; do kill "$child" 2>/dev/null; done
  for child in "${children[@]}"; do wait "$child" 2>/dev/null; done
  if [ -n "$keep" ]; then echo "kept: $work"; else rm -rf "$work"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM
mkdir -p "$work/plugins" "$releases" "$work/client"
chmod 755 "$work/plugins"

# The libraries of that night.
compile() { # FIXTURE RELEASE [OPTION...]
  local fixture=$1 output=$releases/$2
  shift 2
  "${CC:-cc}" -std=gnu11 -shared -fPIC -I "$root/Sources/PluginABI/include" "$@" -o "$output" "$root/Tests/Fixtures/$fixture" ||
    unable "$fixture does not compile"
}
compile August/auth-without-method.c auth-without-method
compile August/limiter.c limiter-that-fails -DREFUSES=0
compile August/limiter.c limiter-that-refuses -DREFUSES=1
compile Broken/undefined-symbol.c auth-that-does-not-load
for plugin in CORSPlugin AuthPlugin RateLimitPlugin DomainRoutes; do
  [ -e "$release/lib$plugin.so" ] || unable "$release/lib$plugin.so is missing"
  install -m 755 "$release/lib$plugin.so" "$work/plugins/"
done

# The shipped file but for its places. The machine was set up this night: no library has passed its probation, so that there is
# nothing to roll back to, and the broken ones stay until somebody acts.
conf=$work/plugins.conf
sed -e 's|^listen = .*|listen = 127.0.0.1:0|' -e "s|^plugin-path = .*|plugin-path = $work/plugins|" \
  -e "s|^state-dir = .*|state-dir = $work/state|" -e 's/^library = \(Auth\|RateLimit\)Plugin$/&\nprobation = 1h/' \
  "$root/plugins.conf" >"$conf"
if [ -n "$edit" ]; then
  cp "$conf" "$work/shipped.conf"
  sed -i -e "$edit" "$conf" || unable "--edit is no sed script"
  ! cmp -s "$conf" "$work/shipped.conf" || unable "--edit changes nothing"
fi

unset PORT BYPASS_ALL_MIDDLEWARE DISABLE_HEAVY_MIDDLEWARE
: >"$work/host.log"
"$BULKHEAD_BINARY" run --config "$conf" >"$work/host.log" 2>&1 &
host=$!
children+=("$host")

# ---- Waiting, deploying, looking ---------------------------------------------------------------------------------

now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }

# until_true CONDITION...: asks again and again until the command succeeds; false after the deadline.
until_true() {
  local end=$(($(now_ms) + deadline * 1000))
  until "$@"; do
    [ "$(now_ms)" -lt $end ] || return 1
    sleep 0.05
  done
}
bulkhead() { "$BULKHEAD_BINARY" "$@" --config "$conf"; }
deploy() { # RELEASE PLUGIN: beside the old file, and renamed over it
  install -m 755 "$1" "$work/plugins/.new" && mv "$work/plugins/.new" "$work/plugins/lib$2.so"
}
edit_conf() { sed -e "$1" "$conf" >"$conf.new" && mv "$conf.new" "$conf"; }
diag() { curl -sS -m 5 "$url/__diag/plugins" 2>/dev/null; }
# sees CONDITION: asks /__diag/plugins, and holds the answer against a jq condition. `field_of` reads that same answer.
sees() { snapshot=$(diag) && jq -e "$1" <<<"$snapshot" >/dev/null 2>&1; }
is() { sees ".plugins[] | select(.name == \"$1\") | $2"; }
status_is() { [ "$(curl -sS -m 5 -o /dev/null -w '%{http_code}' "${@:2}" 2>/dev/null)" = "$1" ]; }
sha256() { sha256sum "$1" | cut -d ' ' -f 1; }
field_of() { jq -r ".plugins[] | select(.name == \"$1\") | $2" <<<"$snapshot"; }

address_known() {
  url=http://$(sed -n 's/^bulkhead: listening on \(127[^ ]*\).*/\1/p' "$work/host.log" | head -n 1)
  [ "$url" != http:// ]
}
until_true address_known || { cat "$work/host.log" >&2; unable "the host does not start"; }

