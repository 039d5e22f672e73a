#!/bin/bash
# Going back in long runs: any place within two seconds of processor time, and the state there what it was.
. "$(dirname "$0")/../e2e/lib.sh"

bench=$(dirname "$VMSCOPE")/tests/bench/bench_back
guests=$(dirname "$VMSCOPE")/guests
[ -x "$bench" ] || { fail "going back" "$bench is not built: make bench"; finish; }

goes_back() { # NAME IMAGE SECONDS MIB COMMAND LINE
	local name=$1
	shift
	if "$bench" "$@" >"$work/out" 2>&1; then ok "$name: $(tail -n 1 "$work/out")"; else fail "$name" "$(cat "$work/out")"; fi
}
for g in hello exits paging primes timer; do goes_back "$g" "$guests/$g.elf" 1 16 ""; done
for g in boot16 modes; do goes_back "$g" "$guests/$g.bin" 1 16 ""; done

image=/boot/memtest86+x64.bin
if [ -r $image ]; then
	for mib in 16 64; do
		goes_back "memtest86+, $mib MiB" $image 60 $mib "nosmp console=ttyS0,115200"
	done
else
	skip "memtest86+" "the package memtest86+ is not installed"
fi
finish
