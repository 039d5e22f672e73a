#!/bin/bash
# Golden screens: keys and commands in, the screen out, for every view at 80x24 and 200x50, without a terminal. The first
# line of a script names the guest and its options; its guests are assembly, so that no compiler moves an address. A line
# "# mask: SED" hides what is the host's (shares of its time).
#
#   UPDATE=1 tests/e2e/screens.sh       writes the expected screens anew: read the difference before it is committed
. "$(dirname "$0")/lib.sh"

update=${UPDATE:-0}

# name, columns, rows: the screens that the script dumps
draw() {
	local args mask
	args=$(sed -n '1s/^# //p' "tests/screens/$1.script")
	mask=$(sed -n 's/^# mask: //p' "tests/screens/$1.script")
	{ echo "resize $2 $3"; sed 1d "tests/screens/$1.script"; } >"$work/$1.script"
	# shellcheck disable=SC2086 # the options are words
	env -u NO_COLOR timeout 120 "$VMSCOPE" tui $args --config - --script "$work/$1.script" 2>&1 | sed -e "$mask"
}

for script in tests/screens/*.script; do
	name=$(basename "$script" .script)
	for size in 80x24 200x50; do
		want=tests/screens/$name.$size.txt
		draw "$name" "${size%x*}" "${size#*x}" >"$work/seen"
		if [ "$update" = 1 ]; then
			cp "$work/seen" "$want"
		elif cmp -s "$work/seen" "$want"; then
			ok "screen $name at $size"
		else
			fail "screen $name at $size" "$(diff "$want" "$work/seen" | head -n 20)"
		fi
	done
done

# What the comparison is worth: one instruction less is another screen.
printf 'resize 80 24\nstep exit 1\nback\ndump -\n' >"$work/less.script"
printf 'resize 80 24\nstep exit 1\ndump -\n' >"$work/more.script"
for w in less more; do "$VMSCOPE" tui modes --config - --script "$work/$w.script" >"$work/$w" 2>&1; done
if [ -s "$work/less" ] && [ -s "$work/more" ] && ! cmp -s "$work/less" "$work/more"; then
	ok "a screen of another moment is another screen"
else
	fail "a screen of another moment is another screen" "$(head -n 3 "$work/less")"
fi

# A signal ends a script, whatever it does just now.
printf 'sleep 60\necho slept\n' >"$work/sleep.script"
"$VMSCOPE" tui modes --config - --script "$work/sleep.script" >"$work/slept" 2>&1 &
pid=$!
sleep 0.5
kill -TERM $pid
wait $pid
is "SIGTERM ends a script that sleeps" 143 $?
is "and no line of it runs any more" "" "$(cat "$work/slept")"
finish
