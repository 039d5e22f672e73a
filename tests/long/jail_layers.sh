#!/bin/bash
# The jail (labs/jail.h) where a layer of it is missing, and without root: its unit test again, in each of these.
. "$(dirname "$0")/../e2e/lib.sh"
here=$(dirname "$(realpath "$VMSCOPE")")/tests
test=$here/unit/test_labs_jail
without=$here/programs/without_layers

user=()
if [ "$(id -u)" = 0 ]; then
	user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	"${user[@]}" test -x "$test" || {
		skip "without root" "this folder cannot be read by another user"
		user=()
	}
fi
# What cannot hold there the unit test skips, with the reason.
for layer in landlock namespaces both; do
	run_status "without $layer" 0 "$without" "$layer" "$test"
	grep -h '^layers: ' "$work/out" "$work/err" | sed 's/^/    /'
	[ "${#user[@]}" = 0 ] || run_status "without $layer, without root" 0 "${user[@]}" "$without" "$layer" "$test"
done
[ "${#user[@]}" = 0 ] || run_status "without root" 0 "${user[@]}" "$test"
finish
