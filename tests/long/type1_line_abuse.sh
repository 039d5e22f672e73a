#!/bin/bash
# The serial line at its worst. Over a bad cable every event that arrives is one that happened, whole and in its order.
# And whatever bytes and commands reach the VMM's agent, it lives, answers, and ends when it is told to; under
# "make asan" the sanitizers watch it.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"

build=$(dirname "$(readlink -f "$VMSCOPE")")
fuzz=$build/tests/programs/line_fuzz
for program in "$server" "$fuzz"; do
	[ -x "$program" ] || { skip "a line at its worst" "tests/programs/${program##*/} is not built"; finish; }
done

# What the guest did, as vmscope report prints it: exits with time, address, qualification, and the ports, registers and
# injections of each. Who ran it (session) and what it cost there (verdict) are not the guest's.
events() { # TRACE
	"$VMSCOPE" report "$1" 2>"$work/report.err" | grep ' kvm_'
}
in_order() { # ARRIVED HAPPENED: the first is the second with some lines left out; else the first line that is wrong
	awk 'NR == FNR { line[NR] = $0; n = NR; next }
		{ while (at < n && line[at + 1] != $0) at++; if (at++ >= n) { print FNR ": " $0; exit } }' "$2" "$1"
}

"$VMSCOPE" run exits --trace "$work/reference.dat" >/dev/null 2>&1
events "$work/reference.dat" >"$work/reference"
serve || fail "a pseudo-terminal" "$(head -n 1 "$work/server.err")"
run_status "a clean line: the guest ends well" 0 "$VMSCOPE" run exits --type 1 --mode emulate --machine "$line" --timeout 60 \
	--trace "$work/clean.dat"
events "$work/clean.dat" >"$work/clean"
if [ -s "$work/reference" ] && cmp -s "$work/reference" "$work/clean"; then
	ok "a clean line: the $(grep -c ' kvm_exit: ' "$work/clean") exits of emulate/II, with all that belongs to them"
else
	fail "a clean line: the exits of emulate/II" "$(diff "$work/reference" "$work/clean" | head -n 4)"
fi

fewer=0
for seed in 11 12 13; do
	serve --noise 200 --seed $seed || fail "a pseudo-terminal" "$(head -n 1 "$work/server.err")"
	rm -f "$work/noisy.dat"
	run_status "bad line $seed: the guest ends well" 0 "$VMSCOPE" run exits --type 1 --mode emulate --machine "$line" \
		--timeout 120 --trace "$work/noisy.dat"
	events "$work/noisy.dat" >"$work/noisy"
	wrong=$(in_order "$work/noisy" "$work/reference")
	if [ ! -s "$work/noisy" ]; then
		fail "bad line $seed: events arrive" "none did"
	elif [ -n "$wrong" ]; then
		fail "bad line $seed: what arrives is right" "line $wrong"
	else
		ok "bad line $seed: $(wc -l <"$work/noisy") of $(wc -l <"$work/reference") events arrive, each as it was, in order"
	fi
	cmp -s "$work/noisy" "$work/reference" || fewer=$((fewer + 1))
	server_ended || true
done
if [ "$fewer" -gt 0 ]; then
	ok "the noise was felt: $fewer of 3 traces are incomplete"
else
	fail "the noise was felt" "nothing was lost: this proves nothing"
fi
# Would it notice? A digit that was changed, an event that came twice, two in the wrong order.
spoilt() { # NAME COMMAND...
	local name=$1
	shift
	"$@" "$work/clean" >"$work/spoilt"
	if [ -n "$(in_order "$work/spoilt" "$work/reference")" ]; then
		ok "noticed: $name"
	else
		fail "noticed: $name" "it is taken for what happened"
	fi
}
middle=$(grep -n ' kvm_exit: ' "$work/clean" | sed -n '200s/:.*//p')
spoilt "a changed digit" sed "${middle}s/info1 0x0/info1 0x8/"
spoilt "an exit that came twice" sed "${middle}p"
spoilt "two events in the wrong order" sed "${middle}{h;d};$((middle + 1))G"

# Everything wrong that can be said. Odd seeds start guests from a bundle that is wrong inside.
tests/mkbundle bundle "$work/bundle" "$build/guests/exits.elf" --mode emulate --flags 1 || fail "a bundle is made"
for seed in 1 2 3; do
	serve || fail "a pseudo-terminal" "$(head -n 1 "$work/server.err")"
	run_status "abuse $seed: the agent answers to the end" 0 timeout -s KILL 120 "$fuzz" "$line" "$work/bundle" $seed 500
	if server_ended; then
		ok "abuse $seed: it ended by itself"
	else
		fail "abuse $seed: it ended by itself" "$(head -c 2000 "$work/server.err")"
	fi
	grep -q ' [1-9][0-9]* questions' "$work/out" && asked=yes
done
is "some abuse got as far as guests that ask" yes "${asked:-no}"
finish
