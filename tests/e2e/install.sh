#!/bin/bash
# make install into DESTDIR; the installed program finds its guests; an ordinary user can use it, without KVM and root.
. "$(dirname "$0")/lib.sh"

mode=$(basename "$(dirname "$VMSCOPE")")
tools/install-tree "$VMSCOPE" "$work/root/usr" >"$work/log" 2>&1 || fail "the tree installs" "$(tail -n 5 "$work/log")"
installed=$work/root/usr/bin/vmscope
make -n --no-print-directory O="build/$mode" install DESTDIR=/somewhere PREFIX=/usr 2>/dev/null | grep -q '"/somewhere/usr"' &&
	ok "make install honours DESTDIR and PREFIX" || fail "make install honours DESTDIR and PREFIX"
for f in bin/vmscope share/man/man1/vmscope.1 share/doc/vmscope/README.md share/doc/vmscope/tui.lua lib/vmscope/guests/hello.elf lib/vmscope/guests/hello.lua \
	lib/vmscope/metal/vmscope-metal.bin lib/vmscope/metal/bootsect.bin; do
	[ -s "$work/root/usr/$f" ] && ok "installed: $f" || fail "installed: $f"
done

cd "$work" || exit 1
unset VMSCOPE_GUESTS
run_status "the installed program finds its guests" 0 "$installed" run hello
run_status "and the labs" 0 "$installed" lab start 4 "$work/lab04"
run_status "and grades by them" 1 "$installed" lab check "$work/lab04"
run_status "and makes new ones" 0 "$installed" lab new mine "$work"
run_status "and their models" 0 "$installed" run hello --mode simulate

if [ "$(id -u)" -eq 0 ] && have setpriv; then
	chmod -R a+rX "$work"
	# shellcheck disable=SC2317 # called through run_status
	user() { setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/ "$@"; }
	run_status "an ordinary user can run a guest" 0 user "$installed" run hello
	run_status "an ordinary user can grade" 0 user "$installed" grade 4 "$work/root/usr/lib/vmscope/labs/solutions/04_cpuid"
	run_status "an ordinary user can compare" 0 user "$installed" compare hello
	grep -q 'virtualize/II' "$work/out" && ok "and is told about virtualize" || fail "and is told about virtualize"
	run_status "an ordinary user can ask the doctor" 0 user "$installed" doctor
else
	run_status "this user can compare" 0 "$installed" compare hello
fi
finish
