#!/bin/bash
# Run control as commands of a script: what each backend can, what it refuses and why, and that no refusal is without
# words, however the guest was walked about.
. "$(dirname "$0")/lib.sh"

# tui NAME COMMANDS OPTIONS...: 0 when the script ran to its end
tui() {
	local commands=$1
	shift
	# shellcheck disable=SC2059 # the commands hold \n
	printf "$commands\n" | "$VMSCOPE" tui "$@" --config - --script - >"$work/out" 2>"$work/err"
}

# shows NAME COMMANDS WORDS OPTIONS...: the script ends, and the view says WORDS
shows() {
	local name=$1 commands=$2 words=$3
	shift 3
	if tui "$commands\ndump -" "$@" && grep -q "$words" "$work/out"; then ok "$name"; else
		fail "$name" "$(head -n 4 "$work/out")" "$(head -n 2 "$work/err")"
	fi
}

# refuses NAME COMMANDS WORDS OPTIONS...
refuses() {
	local name=$1 commands=$2 words=$3
	shift 3
	if ! tui "$commands" "$@" && grep -q "$words" "$work/err"; then ok "$name"; else
		fail "$name" "$(head -n 4 "$work/out")" "$(head -n 2 "$work/err")"
	fi
}

# A behaviour model: exits, and nothing smaller.
model() { local name=$1 c=$2 w=$3; refuses "simulate: $name" "$c" "$w" hello --mode simulate; }
for c in "step" "over" "finish"; do model "$c" "$c" "a behaviour model has no instructions: step by exits (e)"; done
model "break at an address" "break 0x1000" "a behaviour model has no instructions and no memory"
model "break on memory" "break mem 0x1000" "a behaviour model has no instructions and no memory"
model "goto insn" "goto insn 7" "a behaviour model has none: go to an exit"
model "back" "step exit 3\nback" "a behaviour model's place in its program cannot be saved"
shows "simulate: steps by exits" "step exit 3" " 3 exits " hello --mode simulate
shows "simulate: a breakpoint on a port" "break port 0x3f8\nrun" "breakpoint 1: port 0x3f8" hello --mode simulate

# Type I: the machine is another one.
metal=(hello --mode emulate --type 1)
if tui "step exit" "${metal[@]}"; then
	shows "type I: step exit" "step exit 4" " 4 exits " "${metal[@]}"
	shows "type I: vmexit" "vmexit IO_INSTRUCTION" "stopped  *exits 5" "${metal[@]}"
	shows "type I: break exit" "break exit CR_ACCESS\nrun" "breakpoint 1: exit CR_ACCESS" "${metal[@]}"
	shows "type I: break port" "break port 0x3f8\nrun\nrun" "breakpoint 1: port 0x3f8" "${metal[@]}"
	shows "type I: goto exit, forward" "goto exit 8" " 9 exits " "${metal[@]}"
	shows "type I: run" "run" "ended by debug_exit" "${metal[@]}"
	shows "type I: restart" "step exit 3\nrestart" " 0 exits " "${metal[@]}"
	refuses "type I: goto exit, back" "goto exit 8\ngoto exit 1" "2: go back: the guest runs on another machine" "${metal[@]}"
	for c in "back" "back exit" "back break" "step" "over" "finish" "break 0x1000" "break mem 0x1000"; do
		refuses "type I: $c" "$c" "the guest runs on another machine" "${metal[@]}"
	done
else
	skip "type I" "$(head -n 1 "$work/err")"
fi

# /dev/kvm: instructions by the processor's traps, addresses by its debug registers.
kvm=(hello --mode virtualize)
if tui "step exit" "${kvm[@]}"; then
	shows "kvm: step over and finish" "step exit\nover\nfinish\nrun" "ended by debug_exit" "${kvm[@]}"
	shows "kvm: a breakpoint at a symbol" "break guest_main\nrun" "breakpoint 1: guest_main" "${kvm[@]}"
	refuses "kvm: a breakpoint on memory" "break mem 0x1000" "does not report its accesses" "${kvm[@]}"
	refuses "kvm: back" "step exit 3\nback" "a run on the host's time is another one each time" "${kvm[@]}"
else
	skip "kvm" "$(head -n 1 "$work/err")"
fi

# A walk at random: a script ends at its first error, which must say something after its last colon.
commands=("step" "step 7" "over" "finish" "step exit" "step exit 8" "back" "back 30" "back exit" "back exit 2" "back break"
	"goto exit 3" "goto exit 40" "goto insn 100" "goto insn 900" "vmexit CPUID" "break exit HLT" "break port 0x40"
	"break 0x100000" "break mem 0x500" "break msr 0x10" "break delete 1" "break disable 1" "restart" "run")
RANDOM=5
for guest in timer hello exits; do
	for mode in emulate "emulate --clock host" simulate virtualize; do
		for _ in 1 2 3; do
			script=""
			for ((i = 0; i < 12; i++)); do script+="${commands[RANDOM % ${#commands[@]}]}\n"; done
			# shellcheck disable=SC2086 # options
			tui "$script" "$guest" --mode $mode --max-exits 3000 --timeout 20
			if [ -s "$work/err" ] && ! grep -q ': [^ ].*[^: ]$' "$work/err"; then
				fail "an error has words: $guest in $mode" "$script" "$(cat "$work/err")"
			fi
		done
	done
done
ok "walks at random end with words"
finish
