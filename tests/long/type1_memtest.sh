#!/bin/bash
# memtest86+ on bare metal: the real processor's page tables, port by port, under VT-x in Bochs (at least its first test) and
# under AMD-V in QEMU (at least its first three), without an error.
. "$(dirname "$0")/../e2e/lib.sh"

image=/boot/memtest86+x64.bin
[ -r $image ] || { skip "memtest86+ on bare metal" "the package memtest86+ is not installed"; finish; }

# memtest LABEL TESTS SECONDS OPTIONS...: until test number TESTS is on the screen, so that those before it are finished
memtest() {
	local label=$1 tests=$2 limit=$3 pid last errors
	shift 3
	"$VMSCOPE" run --kernel $image --append console=ttyS0,115200 --mem 16M --type 1 --mode virtualize --timeout "$limit" "$@" \
		>"$work/mem" 2>"$work/mem.err" &
	pid=$!
	for (( ; ; )); do
		sed 's/\x1b\[[0-9;]*[A-Za-z]/\n/g' "$work/mem" >"$work/mem.txt"
		last=$(grep -aoE '#[0-9]+  \[' "$work/mem.txt" | tr -dc '0-9\n' | sort -n | tail -n 1)
		[ "${last:-0}" -ge "$tests" ] && break
		kill -0 $pid 2>/dev/null || break
		sleep 1
	done
	kill -INT $pid 2>/dev/null
	wait $pid
	grep -aq 'Memtest86+ v6' "$work/mem.txt" && ok "$label: the banner" || fail "$label: the banner" "$(tail -n 5 "$work/mem.err")"
	[ "${last:-0}" -ge "$tests" ] && ok "$label: $tests finished (it is at test $last)" ||
		fail "$label: $tests finished" "it is at test ${last:-none}" "$(tail -c 300 "$work/mem.txt")" "$(grep -a '^end' "$work/mem.err")"
	errors=$(grep -ao 'Errors: *[0-9]*' "$work/mem.txt" | tr -dc '0-9\n' | sort -n | tail -n 1)
	is "$label: errors" 0 "${errors:-none reported}"
	grep -aq '^resource control  holds' "$work/mem.err" && ok "$label: resource control holds" ||
		fail "$label: resource control holds" "$(grep -a -A3 '^resource' "$work/mem.err")"
}

if have qemu-system-x86_64; then
	memtest "AMD-V in QEMU" 3 600 --engine svm --machine qemu
else
	skip "memtest86+ under AMD-V" "qemu-system-x86_64 is not installed"
fi
if have bochs; then
	memtest "VT-x in Bochs" 1 2400 --engine vmx --machine bochs
else
	skip "memtest86+ under VT-x" "bochs is not installed"
fi
finish
