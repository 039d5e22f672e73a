#!/bin/bash
# memtest86+ for one whole pass over 16 MB, in emulate: every test of it, no error.
. "$(dirname "$0")/../e2e/lib.sh"

image=/boot/memtest86+x64.bin
[ -r $image ] || { skip "memtest86+, one pass" "the package memtest86+ is not installed"; finish; }
"$VMSCOPE" run --kernel $image --append "console=ttyS0,115200" --mem 16M --timeout 2500 \
	--max-insns 120000000000 >"$work/mem" 2>"$work/mem.err"
sed 's/\x1b\[[0-9;]*[A-Za-z]/\n/g' "$work/mem" >"$work/mem.txt"
pass=$(grep -aoE 'Pass: *[0-9]+' "$work/mem.txt" | tr -dc '0-9\n' | sort -n | tail -n 1)
[ "${pass:-0}" -ge 1 ] && ok "memtest86+ finishes one pass" ||
	fail "memtest86+ finishes one pass" "$(tail -c 400 "$work/mem.txt")" "$(grep -a 'instructions\|end' "$work/mem.err")"
is "memtest86+ reports no error" 0 "$(grep -ao 'Errors: *[0-9]*' "$work/mem.txt" | tr -dc '0-9\n' | sort -n | tail -n 1)"
finish
