#!/bin/bash
# The TUI in a real terminal (tmux, a server of this test's own): a session as a person drives it, and that the terminal
# is as before whatever ends or stops the program. The guest is assembly, so that no compiler moves an address.
. "$(dirname "$0")/lib.sh"

# --- bad input: one line, a status of the manual page, no terminal needed ------------------------------------------
one_line "without a terminal: one line" 2 "$VMSCOPE" tui modes
one_line "no such guest" 2 "$VMSCOPE" tui no-such-guest
one_line "no such guest, batch" 2 "$VMSCOPE" tui no-such-guest --batch
one_line "no such view" 2 "$VMSCOPE" tui modes --batch --view no-such-view
one_line "no such option" 2 "$VMSCOPE" tui modes --no-such-option
one_line "two guests" 2 "$VMSCOPE" tui modes boot16 --batch
one_line "too few columns" 2 "$VMSCOPE" tui modes --batch --width 20
one_line "no such script" 2 "$VMSCOPE" tui modes --script "$work/none"
one_line "no such mode" 2 "$VMSCOPE" tui modes --mode nonsense --batch
echo 'no such command' >"$work/bad.script"
one_line "a script's mistake has its line" 1 "$VMSCOPE" tui modes --script "$work/bad.script"
is "... FILE:LINE:" "vmscope: $work/bad.script:1:" "$(cut -d' ' -f1-2 "$work/err")"
: >"$work/empty.dat"
one_line "an empty trace" 2 "$VMSCOPE" tui "$work/empty.dat" --batch
"$VMSCOPE" run modes --trace "$work/modes.dat" >"$work/out" 2>&1
run_status "a trace explains an exit" 0 "$VMSCOPE" tui "$work/modes.dat" --batch --view exit
grep -q 'a guest to VMM' "$work/out" && ok "... with the steps of its cost profile" ||
	fail "... with the steps of its cost profile" "$(cat "$work/out")"
head -c 3000 "$work/modes.dat" >"$work/cut.dat"
one_line "a trace that is cut off" 2 "$VMSCOPE" tui "$work/cut.dat" --batch
head -c 60000 "$work/modes.dat" >"$work/short.dat"
run_status "a trace that ends too early is shown as far as it goes" 0 "$VMSCOPE" tui "$work/short.dat" --batch
if grep -q 'damaged: the file ends before' "$work/out" && grep -q 'insns [1-9]' "$work/out"; then
	ok "... and it is said"
else
	fail "... and it is said" "$(cat "$work/out")"
fi
one_line "a guest's option for a trace" 2 "$VMSCOPE" tui "$work/modes.dat" --mode simulate --batch
echo 'theme = "pink"' >"$work/bad.lua"
run_status "a wrong tui.lua stops nothing" 0 "$VMSCOPE" tui modes --batch --config "$work/bad.lua"
grep -q '^vmscope: .*bad.lua:1: theme is' "$work/err" && ok "... and is said" ||
	fail "... and is said" "$(cat "$work/err")"

# The example that the documents show.
printf 'key F7\nkey F7\necho F7\ndump -\n' >"$work/keys.script"
run_status "docs/tui.lua is right" 0 "$VMSCOPE" tui modes --config docs/tui.lua --script "$work/keys.script"
is "... and its keys work" "" "$(cat "$work/err")$(grep -q '0 exits  2 insns' "$work/out" || cat "$work/out")"

missing=
for option in $("$VMSCOPE" tui --help | grep -oE '^ +--[a-z-]+'); do
	sed 's/\\-/-/g' docs/vmscope.1 | grep -qE -- "$option([^a-z-]|\$)" || missing+=" $option"
done
is "the manual page has every option" "" "$missing"

if ! have tmux; then
	skip "the TUI in a terminal" "tmux is not installed: tools/setup --tests installs it"
	finish
fi

# --- a terminal -----------------------------------------------------------------------------------------------------
# The socket is in a folder of this test's own, so that nobody else's server can be meant.
export TMUX_TMPDIR=$work
unset TMUX NO_COLOR
limit=${TUI_WAIT:-20} # seconds to wait for a text on a loaded machine
tm() { tmux -u -L tui -f /dev/null "$@"; }
# A command about the pane of the run.
pt() { local c=$1; shift; tm "$c" -t run "$@"; }
trap 'tm kill-server 2>/dev/null; chmod -R u+rwx "$work"; rm -rf "$work"' EXIT

# The program between two readings of the terminal's settings. Its number is in $work/pid. It runs in this shell's
# place in the foreground, and a shell that is no interactive one leaves the terminal as it finds it.
cat >"$work/run.sh" <<'EOF'
cd "$work" || exit 1
trap : INT # C-c is for the whole foreground
stty -g >"$work/before"
rm -f "$work/after"
sh -c 'echo $$ >"$work/pid"; exec "$@"' sh "$@" 2>"$work/err"
echo $? >"$work/status"
stty -g >"$work/settings" && mv "$work/settings" "$work/after"
echo "ended with $(cat "$work/status")"
exec sleep 1000
EOF

# The server lives as long as this session, which nobody looks at.
tm new-session -d -s keep "exec sleep 100000"
tm set-option -g status off
# new_screen COMMAND...: in place of the one before
new_screen() {
	tm kill-session -t run 2>/dev/null
	tm new-session -d -s run -x 80 -y 24 "$@"
}

# begin [NAME=VALUE ...] -- ARGUMENT...: the TUI on a fresh screen of 80x24
begin() {
	local vars=()
	while [ "$1" != -- ]; do vars+=("$1"); shift; done
	shift
	rm -f "$work/pid" "$work/after" "$work/status"
	new_screen env LANG=C.UTF-8 LC_ALL=C.UTF-8 TERM=screen-256color "work=$work" "${vars[@]}" \
		sh "$work/run.sh" "$VMSCOPE" tui --config - "$@"
}
screen() { pt capture-pane -p; }
keys() { pt send-keys "$@"; }
text() { pt send-keys -l -- "$1"; }

# wait_until SECONDS-LIMITED CONDITION...: until the command succeeds
wait_until() {
	local end=$((SECONDS + limit))
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.03
	done
}
# shellcheck disable=SC2317 # wait_until calls these
seen() { screen | grep -qF -- "$1"; }
# shellcheck disable=SC2317
unseen() { ! seen "$1"; }
# shellcheck disable=SC2317
titled() { screen | head -n 1 | grep -q "$1 *$"; }
# shellcheck disable=SC2317 # the title's end is at the right edge, the last line is the function-key bar
whole() { # TITLE SIZE
	[ "$(screen | head -n 1 | LC_ALL=C.UTF-8 wc -m)" -ge "${2%x*}" ] && titled "$1" &&
		[ "$(screen | wc -l)" -eq "${2#*x}" ] && screen | tail -n 1 | grep -q 'F1 Help.*q Quit'
}

# shows NAME TEXT: waits for the text
shows() {
	if wait_until seen "$2"; then ok "$1"; else fail "$1" "not seen: $2" "$(screen)"; fi
}
hides() {
	if wait_until unseen "$2"; then ok "$1"; else fail "$1" "still seen: $2" "$(screen)"; fi
}
# Lines with a colour: 30 to 38, 40 to 48, 90 to 97; not 39 and 49, the terminal's own.
colours() { pt capture-pane -e -p | tr '\033' '^' | grep -E '\^\[([0-9]+;)*([34][0-8]|9[0-7])[;m]'; }
pane() { pt display-message -p "$1"; }
# shellcheck disable=SC2317
pane_is() { [ "$(pane "$1")" = "$2" ]; }
# becomes NAME EXPECTED FORMAT: waits until tmux says so of the pane
becomes() {
	if wait_until pane_is "$3" "$2"; then ok "$1"; else fail "$1" "expected: $2" "seen:     $(pane "$3")"; fi
}
# restored NAME STATUS: the program has ended so, and left nothing behind
restored() {
	wait_until test -e "$work/after" || { fail "$1: ends" "$(screen)"; return; }
	is "$1: status" "$2" "$(cat "$work/status")"
	is "$1: the terminal's settings" "$(cat "$work/before")" "$(cat "$work/after")"
	wait_until seen "ended with" || true
	becomes "$1: main screen, cursor, no mouse" "0 1 0" '#{alternate_on} #{cursor_flag} #{mouse_any_flag}'
}
restored_outside() { # NAME: the same while the program is stopped: read from outside
	is "$1" "$(cat "$work/before")" "$(stty -g -F "$(pane '#{pane_tty}')")"
}

# --- a session ------------------------------------------------------------------------------------------------------
begin -- modes
shows "load: the guest waits" "stopped  0 exits  0 insns"
keys s s
shows "step: two instructions" "0 exits  2 insns"
keys v
shows "break on an exit: the line opens" ":vmexit"
text "CR_AC"
keys Tab
shows "... and completes" ":vmexit CR_ACCESS"
keys Enter
shows "... the guest stops there" "21 exits  136 insns"
shows "... and it is in the list" "20 CR_ACCESS"
keys 2
shows "a digit changes the view" "#20 of 21  28 CR_ACCESS"
keys U
shows "back an exit" "in the past  20 exits"
keys u
shows "back an instruction" "in the past  19 exits  126 insns"
keys e e
shows "... and forward again" "21 exits  136 insns"
keys v
text "CPUID"
keys Enter
shows "a reason that does not come: to the end" "ended  409 exits  5557 insns"
shows "... and it is said" "no CPUID came before the guest's end"
text "\\"
text "exit_reason === CR_ACCESS"
keys Enter
shows "a filter's mistake has its column" "column 15: here a number is wanted"
becomes "... and the cursor stands there" "15" '#{cursor_x}'
keys Delete Enter
hides "a filter that is right: the line closes" "here a number is wanted"
keys 1
shows "... only such exits are left" "newest exits, filter: exit_reason == CR_ACCESS"
shows "... only such exits are left" "375 CR_ACCESS"
hides "... no others" "408 IO_INSTRUCTION"
keys Down Enter
shows "Enter drills in" "28 CR_ACCESS  also called CR"
keys Escape
shows "Esc goes back out" "newest exits"
text "\\"
keys C-u Enter
shows "an empty filter ends it" "408 IO_INSTRUCTION"
keys 7
shows "another view by its digit" ">  1  What a virtual machine monitor is"
text "/"
text "theorem"
keys Enter
shows "search" "search: theorem"
shows "... finds" "7  Theorem 1"
keys n
shows "... the next: n" "8  Theorems 2 and 3"
keys N
shows "... the one before: N" "7  Theorem 1"
keys Escape
hides "... Esc ends it" "search: theorem"
keys Escape
shows "... and goes from the page to the index" ">  7  Theorem 1"
for title in Scope Exit Machine Modes Statistics VMs Theory; do
	keys Tab
	if wait_until titled "$title"; then ok "Tab: $title"; else fail "Tab: $title" "$(screen)"; fi
done

# --- sizes ----------------------------------------------------------------------------------------------------------
keys 1
for size in 200x50 132x43 81x24 79x24 40x5 1x1 80x23 80x24; do
	pt resize-window -x "${size%x*}" -y "${size#*x}"
	case $size in
	79x24 | 80x23) shows "$size is said to be too small" "80x24" ;;
	40x5 | 1x1) ;; # nothing but surviving is asked for
	*) if wait_until whole Scope "$size"; then ok "$size is whole"; else fail "$size is whole" "$(screen)"; fi ;;
	esac
done

# --- the rest of the keys -------------------------------------------------------------------------------------------
becomes "the mouse is on" 1 '#{mouse_any_flag}'
# As a terminal reports button 1 at column 3 of the last row, and its release (xterm's X10 encoding).
text "$(printf '\033[M #8\033[M##8')"
shows "a click on the function-key bar" "Keys. Each stands for a command"
text "$(printf '\033[M #8\033[M##8')"
hides "... and again" "Keys. Each stands for a command"
keys M
shows "M gives it back" "the mouse is the terminal's"
becomes "... and the terminal knows" 0 '#{mouse_any_flag}'
keys P
shows "P: the screen goes into a file" "the screen is in vmscope-1.txt"
is "... as it is seen" "$(screen | sed -n 2,20p)" "$(sed -n 2,20p "$work/vmscope-1.txt" 2>/dev/null)"
keys F1
shows "help" "Keys. Each stands for a command"
keys q
hides "... and back" "Keys. Each stands for a command"
keys q
restored "q" 0

# --- other ends -----------------------------------------------------------------------------------------------------
begin -- modes
shows "a second run" "stopped  0 exits"
kill -TERM "$(cat "$work/pid")"
restored "SIGTERM" 143

begin -- modes
shows "a third run" "stopped  0 exits"
pid=$(cat "$work/pid")
is "the terminal is curses' own while it runs" different \
	"$([ "$(stty -g -F "$(pane '#{pane_tty}')")" = "$(cat "$work/before")" ] && echo equal || echo different)"
kill -TSTP "$pid"
# shellcheck disable=SC2317
stopped() { [ "$(sed 's/.*) //' "/proc/$pid/stat" | cut -c1)" = T ]; }
if wait_until stopped; then ok "SIGTSTP stops it"; else fail "SIGTSTP stops it"; fi
restored_outside "... with the terminal as before"
becomes "... main screen, cursor, no mouse" "0 1 0" '#{alternate_on} #{cursor_flag} #{mouse_any_flag}'
kill -CONT "$pid"
shows "SIGCONT: it draws again" "F1 Help"
keys e
shows "... and goes on" "stopped  1 exit "
kill -SEGV "$pid"
# AddressSanitizer has the signal before the default action, reports, and exits.
case $VMSCOPE in */asan/*) restored "a crash" 1 ;; *) restored "a crash" 139 ;; esac

# A guest that does not exit by itself: jmp to itself.
printf '\353\376' >"$work/loop.bin"
truncate -s 510 "$work/loop.bin"
printf '\125\252' >>"$work/loop.bin"
begin -- "$work/loop.bin"
shows "an endless loop: the guest waits" "stopped  0 exits"
keys c
shows "... runs" "running"
keys p
shows "... p stops it" "stopped"
keys c
shows "... runs again" "running"
keys C-c
shows "... C-c stops it, too" "stopped"
keys u
shows "... back an instruction" "in the past"
keys c
shows "... and on from there" "running"
kill -TERM "$(cat "$work/pid")"
restored "SIGTERM in a run" 143

# Its other side goes away.
begin -- modes
shows "a fourth run" "stopped  0 exits"
pid=$(cat "$work/pid")
tm kill-session -t run
# shellcheck disable=SC2317
gone() { ! kill -0 "$pid" 2>/dev/null; }
if wait_until gone; then ok "the terminal hangs up: it ends"; else fail "the terminal hangs up: it ends"; fi

# As a shell with job control does it, C-z and fg.
new_screen env LC_ALL=C.UTF-8 TERM=screen-256color "PS1=sh> " bash --norc --noprofile -i
shows "a shell" "sh>"
text "$VMSCOPE tui modes --config -"
keys Enter
shows "from a shell" "F1 Help"
keys C-z
shows "C-z: the shell is back" "Stopped"
text "echo so''far; fg"
keys Enter
shows "fg: so is the TUI" "F1 Help"
keys q
shows "... which ends" "sofar"
text "echo status \$?"
keys Enter
shows "... well" "status 0"

# --- a guest that prints escape codes -------------------------------------------------------------------------------
# cld; ds = 0; each byte from 0x7c18 to the UART until 0; 0 to the debug exit port; hlt
{
	printf '\374\061\300\216\330\276\030\174\272\370\003\254\204\300\164\003\356\353\370\272\364\000\356\364'
	printf '\033]0;TAKEN-TITLE\007\033[2J\033[?1049l\033[31mred\033[9;9Hmoved\033c\033(0\2332J\r\033[?25hlast words\n\000'
} >"$work/escape.bin"
truncate -s 510 "$work/escape.bin"
printf '\125\252' >>"$work/escape.bin"
begin -- "$work/escape.bin"
shows "escape codes: the guest waits" "stopped  0 exits"
title=$(pane '#{pane_title}')
keys c
shows "... and prints" "last words"
shows "... which are shown" "[2J"
becomes "... and not obeyed: title, screen, cursor" "$title 1 0" '#{pane_title} #{alternate_on} #{cursor_flag}'
shows "... the rest of the screen stands" "IO_INSTRUCTION"
keys 5 4 2 3
shows "... in other views, too" "Registers"
keys q q q q q
restored "escape codes" 0

# --- terminals and languages ----------------------------------------------------------------------------------------
begin TERM=nonsense -- modes
shows "TERM=nonsense is no reason to end" "TERM=nonsense is not known here"
keys q
restored "TERM=nonsense" 0
begin -- modes --view nonsense
restored "an error behind the first screen" 2
is "... has its line" 1 "$(grep -c "^vmscope: no view 'nonsense': scope, exit" "$work/err")"
begin TERM=dumb -- modes
restored "TERM=dumb" 3
is "... one line says why" 1 "$(grep -c "^vmscope: the terminal 'dumb' cannot place its cursor" "$work/err")"
begin LANG=C LC_ALL=C -- modes
shows "LANG=C" "F1 Help"
keys e
shows "LANG=C: an exit" "1 exit "
is "... is ASCII only" "" "$(screen | LC_ALL=C grep -n '[^ -~]')"
is "... with colours" coloured "$([ -n "$(colours)" ] && echo coloured)"
keys F10
restored "LANG=C" 0
begin NO_COLOR=1 -- modes
shows "NO_COLOR" "F1 Help"
is "... has none" "" "$(colours)"
keys F10
restored "NO_COLOR" 0
finish
