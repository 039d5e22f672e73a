#!/bin/bash
# The oracle: random instructions on this processor and on our CPU, a fixed part of them; and does it notice a handler
# that is broken on purpose? "make oracle" runs more.
. "$(dirname "$0")/lib.sh"

oracle=$(dirname "$VMSCOPE")/tests/oracle/oracle
[ -x "$oracle" ] || { skip "the oracle" "$oracle is not built (make tests)"; finish; }
# The processor runs the same program: where a random address hits the sanitizer's shadow, it finds memory.
case $oracle in *asan*) skip "the oracle" "AddressSanitizer's shadow is mapped where the processor has to fault"; finish ;; esac
n=3000000

"$oracle" --n $n --seed 1 --rows >"$work/run" 2>&1
status=$?
if [ $status = 77 ]; then
	skip "the oracle" "$(tail -n 1 "$work/run")"
	finish
fi
is "no unexplained difference in $n random instructions" 0 $status
[ $status = 0 ] || tail -c 6000 "$work/run"
is "every row of the decode tables that is not excluded by name had its turn" "" \
	"$(grep -E '^(no case|left out):' "$work/run")"

# SYSCALL runs where it is undefined; RDPKRU and WRPKRU are not in our CPUID.
is "what is excluded by name is what it was" \
	"rdpkru rdpmc rdrand rdseed sgdt sidt sldt smsw str sysenter vmcall vmfunc vmmcall wrpkru " \
	"$(sed -n 's/^excluded row: .*\(memory\|register\) \([^:]*\):.*/\2/p' "$work/run" | sort -u | tr '\n' ' ')"
is "the block runner does the same as one instruction at a time" "0 differ" \
	"$(sed -n 's/^[0-9]* of them by decoded blocks too, \([0-9]* differ\) .*/\1/p' "$work/run")"
"$oracle" --n 20000 --seed 2 --break blocks --brief --show 1 >"$work/broken" 2>&1
is "blocks that outlive their code: found" 1 $?

# breaks INSN:WHAT: the oracle must find it, and nothing else
breaks() {
	"$oracle" --n 60000 --seed 2 --break "$1" --brief >"$work/broken" 2>&1
	is "$1 broken: found" 1 $?
	local others
	others=$(grep '^case ' "$work/broken" | sed 's/^case [0-9]*: [0-9]*-bit //; s/: .*//' | sort -u | tr '\n' ' ')
	is "$1 broken: and nothing else" "${1%%:*} " "$others"
}
breaks add:of
breaks shl:cf
breaks sbb:af
breaks movzx:rax
breaks cmps:zf
breaks verw:stop
breaks aesdec:rax
breaks pclmulqdq:rax
finish
