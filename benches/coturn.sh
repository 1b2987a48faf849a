#!/bin/bash
# CPU of coturn, of Konsil, of a bare forwarder for the same load of coturn's own client, in one run: microseconds per relayed packet.
#   benches/coturn.sh [clients] [messages]     all relay ChannelData between pairs of clients, over UDP
# The bare forwarder (benches/turn/floor.rs) grants whatever it is asked and copies by recvmmsg with sendmmsg: no relay can take less.
# Everything happens in a network namespace of the script's own. Needs coturn (Debian), target/release/konsil and, for the floor,
# target/release/examples/floor; KONSIL and FLOOR name others. THREADS=1 gives each one thread.
set -euo pipefail
clients=${1:-20} messages=${2:-300} rounds=${ROUNDS:-3}
cd "$(dirname "$0")/.."
konsil=${KONSIL:-$PWD/target/release/konsil} floor=${FLOOR:-$PWD/target/release/examples/floor} threads=${THREADS:-$(nproc)}
[ -x "$konsil" ] || { echo "build it first: make release" >&2; exit 2; }
[ -x "$floor" ] || { echo "build it first: cargo build --release --locked --example floor" >&2; exit 2; }
command -v turnserver >/dev/null || { echo "apt-get install coturn" >&2; exit 2; }
if [ -z "${INSIDE:-}" ]; then
  if [ "$(id -u)" = 0 ]; then flags=-n; else flags=-rn; fi
  INSIDE=1 exec unshare $flags -- "$PWD/benches/coturn.sh" "$clients" "$messages"
fi

host=10.66.0.1
ip link set lo up
ip addr add $host/32 dev lo
dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$dir"' EXIT

turnserver -n -L $host -E $host -p 3479 --lt-cred-mech --user u:p --realm r --no-cli --no-tls --no-dtls -m "$threads" \
  --no-stdout-log --log-file /dev/null --pidfile "$dir/pid" >/dev/null 2>&1 &
coturn_pid=$!
KONSIL_MEDIA_ADVERTISE=$host KONSIL_HTTP_LISTEN=$host:8443 KONSIL_MEDIA_UDP_LISTEN=$host:3478 KONSIL_LOG_LEVEL=error \
  KONSIL_TURN_ALLOCATIONS_PER_USER=1000 KONSIL_MEDIA_WORKERS=$threads "$konsil" serve --state "$dir/state" >/dev/null &
konsil_pid=$!
"$floor" $host:3480 "$threads" &
floor_pid=$!
until [ -f "$dir/state/run.json" ] && ss -lnu | grep -q ':3479 '; do read -rt 0.1 <> <(:) || true; done
login=$("$konsil" token --ice --room bench --identity bench --state "$dir/state")
user=$(sed 's/.*"username":"\([^"]*\)".*/\1/' <<<"$login")
password=$(sed 's/.*"credential":"\([^"]*\)".*/\1/' <<<"$login")

# Time on a CPU of all threads in nanoseconds (proc(5), schedstat).
spent() { cat /proc/"$1"/task/*/schedstat | awk '{ sum += $1 } END { printf "%d", sum }'; }

# port, pid, user, password: prints microseconds per relayed packet with the losses.
load() {
  local before after said received
  before=$(spent "$2")
  said=$(turnutils_uclient -u "$3" -w "$4" -p "$1" -y -c -m "$clients" -n "$messages" -l 1000 $host 2>&1)
  after=$(spent "$2")
  received=$(grep -o 'tot_recv_msgs=[0-9]*' <<<"$said" | tail -1 | cut -d= -f2)
  awk -v ns=$((after - before)) -v n="$received" -v lost="$(grep -o 'lost packets [0-9]* ([0-9.]*%)' <<<"$said" | tail -1)" \
    'BEGIN { if (n == 0) { print "nothing arrived"; exit 1 } printf "%.2f %d %s\n", ns / 1000 / n, n, lost }'
}

echo "$clients clients, $messages messages of 1,000 bytes each, $threads threads: us of server CPU per relayed packet, packets, losses"
for round in $(seq "$rounds"); do
  a=$(load 3479 "$coturn_pid" u p)
  b=$(load 3478 "$konsil_pid" "$user" "$password")
  c=$(load 3480 "$floor_pid" u p)
  awk -v r="$round" -v a="$a" -v b="$b" -v c="$c" 'BEGIN { split(a, x, " "); split(b, y, " "); split(c, z, " ")
    printf "round %d: coturn %s | konsil %s | bare %s | konsil / coturn %.2f, bare / coturn %.2f, konsil / bare %.2f\n", r, a, b, c, y[1] / x[1], z[1] / x[1], y[1] / z[1] }'
done
