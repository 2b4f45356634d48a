# The hosts of the drill: their places, their libraries, and how they are looked at. Sourced by scripts/drill.
#
# The night is that of the first machine, in $work. Its last hour has a second one, in $work/second.

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
second=$work/second
mkdir -p "$work/plugins" "$releases" "$work/client" "$second/plugins"
chmod 755 "$work/plugins" "$second" "$second/plugins"

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
# All of it is the real auth, but that its start waits for as long as there is a file.
compile Broken/sabotaged.c auth-that-waits "-DREAL=\"$release/libAuthPlugin.so\"" "-DSABOTAGE=\"$second/no-peer\""
for plugin in CORSPlugin AuthPlugin RateLimitPlugin DomainRoutes; do
  [ -e "$release/lib$plugin.so" ] || unable "$release/lib$plugin.so is missing"
  install -m 755 "$release/lib$plugin.so" "$work/plugins/"
  install -m 755 "$release/lib$plugin.so" "$second/plugins/"
done
install -m 755 "$releases/auth-that-waits" "$second/plugins/libAuthPlugin.so"
sha256() { sha256sum "$1" | cut -d ' ' -f 1; }

configure() { # PLACE SED: the shipped file but for its places, and for what the script changes
  sed -e 's|^listen = .*|listen = 127.0.0.1:0|' -e "s|^plugin-path = .*|plugin-path = $1/plugins|" \
    -e "s|^state-dir = .*|state-dir = $1/state|" -e "$2" "$root/plugins.conf" >"$1/plugins.conf"
}
# Each release of auth is pinned by its digest: another library must not serve in its place, the last good one neither, so that
# a broken one stays until somebody acts.
configure "$work" "s/^library = AuthPlugin\$/&\\nsha256 = $(sha256 "$release/libAuthPlugin.so")/"
configure "$second" 's/^library = AuthPlugin$/&\nstart-timeout = 5s/'
# look_at PLACE: whom the operator's commands are for from now on, and whom the clients ask from the next step on.
look_at() {
  place=$1 conf=$1/plugins.conf
  url=http://$(sed -n 's/^bulkhead: listening on \(127[^ ]*\).*/\1/p' "$place/host.log" | head -n 1)
}
place=$work conf=$work/plugins.conf
if [ -n "$edit" ]; then
  cp "$conf" "$work/shipped.conf"
  sed -i -e "$edit" "$conf" || unable "--edit is no sed script"
  ! cmp -s "$conf" "$work/shipped.conf" || unable "--edit changes nothing"
fi

unset PORT BYPASS_ALL_MIDDLEWARE DISABLE_HEAVY_MIDDLEWARE
boot() { # PLACE
  : >"$1/host.log"
  "$BULKHEAD_BINARY" run --config "$1/plugins.conf" >"$1/host.log" 2>&1 &
  booted=$!
  children+=("$booted")
}
boot "$work"
host=$booted

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
deploy() { # RELEASE PLUGIN: beside the old file, and renamed over it, with its pin if there is one
  local digest
  digest=$(sha256 "$1")
  install -m 755 "$1" "$place/plugins/.new" && mv "$place/plugins/.new" "$place/plugins/lib$2.so"
  edit_conf "/^library = $2\$/{n;s/^sha256 = .*/sha256 = $digest/}"
}
edit_conf() {
  sed -e "$1" "$conf" >"$conf.new"
  if cmp -s "$conf" "$conf.new"; then rm "$conf.new"; else mv "$conf.new" "$conf"; fi
}
diag() { curl -sS -m 5 "$url/__diag/plugins" 2>/dev/null; }
# sees CONDITION: asks /__diag/plugins, and holds the answer against a jq condition. `field_of` reads that same answer.
sees() { snapshot=$(diag) && jq -e "$1" <<<"$snapshot" >/dev/null 2>&1; }
is() { sees ".plugins[] | select(.name == \"$1\") | $2"; }
status_is() { [ "$(curl -sS -m 5 -o /dev/null -w '%{http_code}' "${@:2}" 2>/dev/null)" = "$1" ]; }
field_of() { jq -r ".plugins[] | select(.name == \"$1\") | $2" <<<"$snapshot"; }

listens() { look_at "$1" && [ "$url" != http:// ]; }
# It answers health and CORS at once, and says so; its plugins come when they have started.
{ until_true listens "$work" && until_true status_is 200 "$url/health/ready"; } ||
  { cat "$work/host.log" >&2; unable "the host does not start"; }

