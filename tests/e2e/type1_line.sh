#!/bin/bash
# --machine DEVICE: the same protocol at the end of a serial line. The VMM's agent runs as a process on a pseudo-terminal
# (tests/programs/agent_server), with a clean cable and with a bad one: what arrives is right, what is lost is counted.
. "$(dirname "$0")/lib.sh"

have jq || { skip "a session over a line" "jq is not installed"; finish; }
[ -x "$server" ] || { skip "a session over a line" "tests/programs/agent_server is not built"; finish; }

exits() { jq -c '[.exits.by_reason[] | select(.reason < 65536) | [.name, .count]] | sort' "$1"; }

for g in hello exits timer; do
	"$VMSCOPE" run $g --json >"$work/reference" 2>/dev/null
	if ! serve; then
		skip "$g over a line" "no pseudo-terminal: $(head -n 1 "$work/server.err")"
		continue
	fi
	run_status "$g over a clean line" 0 "$VMSCOPE" run $g --type 1 --mode emulate --machine "$line" --timeout 60 --json
	is "$g: console, instructions" "$(jq -c '[.console, .instructions]' "$work/reference")" "$(jq -c '[.console, .instructions]' "$work/out")"
	is "$g: exits" "$(exits "$work/reference")" "$(exits "$work/out")"
	is "$g: nothing is lost" "0 0 0" "$(jq -r '.session | [.line.lost, .lost_record_bytes, .lost_console_bytes] | join(" ")' "$work/out")"
	server_ended && ok "$g: the other side heard the end" || fail "$g: the other side heard the end" "$(head -n 2 "$work/server.err")"
done

# A bad cable: about one byte in five thousand is dropped, changed, or has company, in both directions.
"$VMSCOPE" run exits --json >"$work/reference" 2>/dev/null
for seed in 1 2 3; do
	serve --noise 200 --seed $seed || continue
	run_status "bad line $seed: the guest ends well all the same" 0 "$VMSCOPE" run exits --type 1 --mode emulate --machine "$line" \
		--timeout 120 --json
	is "bad line $seed: how it ended, instructions" "$(jq -c '[.end.kind, .instructions]' "$work/reference")" "$(jq -c '[.end.kind, .instructions]' "$work/out")"
	[ "$(jq '.session.line | .lost + .damaged + .noise_bytes + .resent' "$work/out")" -gt 0 ] &&
		ok "bad line $seed: it is said what was lost ($(jq -r '.session | "\(.line.lost) frames, \(.lost_record_bytes) bytes of records, \(.line.resent) commands again"' "$work/out"))" ||
		fail "bad line $seed: it is said what was lost" "$(jq -c .session "$work/out")"
	# What is damaged is dropped as a whole: no reason has more exits than there were.
	is "bad line $seed: no exit was invented" true "$(jq -n --argjson a "$(exits "$work/reference")" --argjson b "$(exits "$work/out")" \
		'($a | map({(.[0]): .[1]}) | add) as $r | all($b[]; .[1] <= ($r[.[0]] // 0))')"
	server_ended || true
done
finish
