#!/bin/bash
# On virtual time nothing comes from the host: two runs are the same run, byte for byte, under valgrind too.
. "$(dirname "$0")/lib.sh"

for guest in hello timer exits; do
	for mode in emulate simulate; do
		"$VMSCOPE" run $guest --mode $mode --trace "$work/1.dat" >"$work/1.out" 2>/dev/null
		a=$?
		"$VMSCOPE" run $guest --mode $mode --trace "$work/2.dat" >"$work/2.out" 2>/dev/null
		is "$guest in $mode ends the same way twice" "$a" $?
		if [ -s "$work/1.dat" ] && cmp -s "$work/1.dat" "$work/2.dat"; then
			ok "$guest in $mode: two traces are equal, byte for byte"
		else
			fail "$guest in $mode: two traces are equal, byte for byte" "$(cmp "$work/1.dat" "$work/2.dat" 2>&1)"
		fi
	done
done

# Typing is an event of guest time, so it is reproducible as well.
"$VMSCOPE" run hello --keys 'abc\n' --trace "$work/1.dat" >/dev/null 2>&1
"$VMSCOPE" run hello --keys 'abc\n' --trace "$work/2.dat" >/dev/null 2>&1
cmp -s "$work/1.dat" "$work/2.dat" && ok "typed input is reproducible" || fail "typed input is reproducible"

case $VMSCOPE in
*/asan/*) skip "the same trace under valgrind" "AddressSanitizer and valgrind exclude each other" ;;
*)
	if have valgrind; then
		"$VMSCOPE" run hello --trace "$work/1.dat" >/dev/null 2>&1
		run_status "hello runs under valgrind without an error" 0 valgrind -q --error-exitcode=99 \
			"$VMSCOPE" run hello --trace "$work/2.dat"
		cmp -s "$work/1.dat" "$work/2.dat" && ok "the trace under valgrind is the same" ||
			fail "the trace under valgrind is the same"
	else
		skip "the same trace under valgrind" "valgrind is not installed"
	fi
	;;
esac
finish
