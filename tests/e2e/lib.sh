# shellcheck shell=bash
# Helper of the end-to-end tests. A test is a bash script that sources this file, runs checks and ends with "finish".
# Each check prints one line that tools/run-tests counts: "ok - name", "not ok - name", "skip - name: reason".
set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$top" || exit 1
VMSCOPE=${VMSCOPE:-build/vmscope}
case $VMSCOPE in /*) ;; *) VMSCOPE=$top/$VMSCOPE ;; esac
work=$(mktemp -d "${TMPDIR:-/tmp}/vmscope-test.XXXXXX") || exit 1
trap 'chmod -R u+rwx "$work"; rm -rf "$work"' EXIT
failures=0

# What every test may use without naming it: the program, and a scratch folder that goes away.
export VMSCOPE work

ok() { printf 'ok - %s\n' "$1"; }
fail() { # name, then what was seen
	printf 'not ok - %s\n' "$1"
	shift
	[ $# -eq 0 ] || printf '    %s\n' "$@"
	failures=$((failures + 1))
}
skip() { printf 'skip - %s: %s\n' "$1" "$2"; }

# is NAME EXPECTED SEEN
is() {
	if [ "$2" = "$3" ]; then ok "$1"; else fail "$1" "expected: $2" "seen:     $3"; fi
}

# run_status NAME STATUS COMMAND...: output in $work/out and $work/err
run_status() {
	local name=$1 want=$2 got=0
	shift 2
	"$@" >"$work/out" 2>"$work/err" || got=$?
	if [ "$got" = "$want" ]; then
		ok "$name"
	else
		fail "$name" "status $got instead of $want" "command: $*" "stdout: $(head -c 1500 "$work/out")" \
			"stderr: $(head -c 1500 "$work/err")"
		return 1
	fi
}

# usage_line NAME STATUS COMMAND...: exactly one line on stderr that starts with "vmscope: ", nothing on stdout
one_line() {
	local name=$1 want=$2 got=0 lines
	shift 2
	"$@" >"$work/out" 2>"$work/err" </dev/null || got=$?
	lines=$(wc -l <"$work/err")
	if [ "$got" = "$want" ] && [ "$lines" = 1 ] && grep -q '^vmscope: ' "$work/err" && [ ! -s "$work/out" ]; then
		ok "$name"
	else
		fail "$name" "status $got (wanted $want), $lines lines on stderr, $(wc -c <"$work/out") bytes on stdout" \
			"command: $*" "$(head -c 1500 "$work/err")"
	fi
}

have() { command -v "$1" >/dev/null 2>&1; }

# The VMM's agent as a process at the other end of a pseudo-terminal: tests/programs/agent_server.
server=$(dirname "$(readlink -f "$VMSCOPE")")/tests/programs/agent_server
server_pid=
line=
# serve OPTIONS...: $line is the device; false: there is none
serve() {
	rm -f "$work/line" # the pseudo-terminal of the one before is gone
	"$server" "$@" >"$work/line" 2>"$work/server.err" &
	server_pid=$!
	for _ in $(seq 600); do
		[ -s "$work/line" ] && break
		kill -0 "$server_pid" 2>/dev/null || break
		sleep 0.1
	done
	line=$(head -n 1 "$work/line")
	[ -n "$line" ]
}
# It has ended by itself, well and without a word, within 10 s.
server_ended() {
	local status=0
	for _ in $(seq 100); do
		kill -0 "$server_pid" 2>/dev/null || break
		sleep 0.1
	done
	kill -9 "$server_pid" 2>/dev/null
	wait "$server_pid" || status=$?
	[ "$status" = 0 ] && [ ! -s "$work/server.err" ]
}

finish() { [ "$failures" -eq 0 ]; exit $?; }
