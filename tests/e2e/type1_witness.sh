#!/bin/bash
# The outside witness. Bochs writes a line for each VM exit that its processor makes; our trace has an event for each exit
# that our VMM took. Neither knows of the other, and they must say the same: as many exits, in the same order, with the
# same reason and qualification, and the same vector and error code, guest-physical address or MSR where there is one.
# Nothing is left out, timer and interrupt exits (1, 7, 52) included.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

have bochs || { skip "Bochs as a witness" "bochs is not installed"; finish; }

# Both write one line an exit: REASON QUALIFICATION, then "vector V type T error E", "gpa A" or "msr M". Bochs says the
# last part in a line before the exit, our trace in an event after it. Numbers are hexadecimal, except the reason.
plain='function plain(x) { sub(/^0x/, "", x); sub(/[^0-9a-f].*$/, "", x); sub(/^0+/, "", x); return x == "" ? "0" : x }'

# Two guests have two VMCSs: which of them an exit belongs to is told by the entry before it.
bochs_exits() { # LOG GUEST-NUMBER
	grep ' VMEXIT[: ]\| VMCS ptr: ' "$1" | awk -v guest="$2" "$plain"'
		{ sub(/^[0-9]+.\[CPU0 *\] /, "") || $0 = "" }
		/^VMEXIT: event vector / {
			split($0, part, "code="); vector = "vector " plain($4) " type " $6 " error " plain(part[2]) }
		/^VMEXIT: EPT .* guest paddr / { split($0, part, "guest paddr "); address = "gpa " plain(part[2]) }
		/^VMEXIT: (RD|WR)MSR / { msr = "msr " plain($3) }
		/^VM(LAUNCH|RESUME) VMCS ptr: / { if (!($4 in vmcs)) vmcs[$4] = ++n; now = vmcs[$4] }
		/^VMEXIT reason = / && now == guest {
			split($0, part, "qualification=")
			print $4, plain(part[2]) ($4 == 0 ? " " vector : $4 == 48 ? " " address : $4 == 31 || $4 == 32 ? " " msr : "")
		}
		/^VMEXIT reason = / { vector = address = msr = "missing" }'
}

# The numbers of the reasons are in the table that the program is made of.
our_exits() { # EVENTS, as vmscope report prints them
	awk "$plain"'
		function out() { if (line != "") print line; line = "" }
		function field(name, i) { for (i = 1; i < NF; i++) if ($i == name) return $(i + 1); return "missing" }
		NR == FNR { if (/^EXIT\(/) { split($0, part, /[(, ]+/); number[part[3]] = part[2] } next }
		$4 == "kvm_exit:" {
			out()
			reason = field("reason")
			reason = reason in number ? number[reason] : "unknown:" reason
			line = reason " " plain(field("info1"))
			if (reason == 0) {
				info = field("intr_info")
				n = length(info)
				type = (index("0123456789abcdef", substr(info, n - 2, 1)) - 1) % 8
				line = line " vector " plain(substr(info, n - 1)) " type " type " error " plain(field("error_code"))
			}
		}
		$4 == "kvm_page_fault:" && reason == 48 { line = line " gpa " plain(field("address")) }
		$4 == "kvm_msr:" && (reason == 31 || reason == 32) { line = line " msr " plain($6) }
		END { out() }' core/exits.def "$1"
}

# agree BOCHS OURS: are the two lists the same? Else $difference tells where they part.
agree() {
	if [ ! -s "$1" ] || [ ! -s "$2" ]; then
		difference="a list is empty: Bochs has $(wc -l <"$1") exits, we have $(wc -l <"$2")"
		return 1
	fi
	cmp -s "$1" "$2" && return
	difference="Bochs has $(wc -l <"$1") exits, we have $(wc -l <"$2"); the first that differ: $(
		paste -d '|' "$1" "$2" | awk -F '|' '$1 != $2 { print "number " NR - 1 ", Bochs: " $1 ", we: " $2; exit }')"
	return 1
}

# run_seen STATUS GUEST OPTION...: with Bochs' log in $work/log
run_seen() {
	local wanted=$1 guest=$2 status=0
	shift 2
	rm -f "$work/log" "$work"/trace.dat*
	VMSCOPE_BOCHS_LOG=$work/log "$VMSCOPE" run "$guest" --mode virtualize --type 1 --machine bochs \
		--trace "$work/trace.dat" "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
	[ "$status" = "$wanted" ] && return
	fail "$(basename "$guest") $*: it runs" "status $status instead of $wanted" "$(head -c 1500 "$work/err")"
	return 1
}

# hear NAME GUEST-NUMBER TRACE REASONS: the lists are in $work/NAME.bochs and .ours; each of REASONS has to be there
hear() {
	local name=$1 missing='' r
	bochs_exits "$work/log" "$2" >"$work/$name.bochs"
	if ! "$VMSCOPE" report "$3" >"$work/$name.events" 2>"$work/err"; then
		fail "$name: the trace can be read" "$(head -c 1500 "$work/err")"
		return
	fi
	our_exits "$work/$name.events" >"$work/$name.ours"
	for r in $4; do
		grep -q "^$r " "$work/$name.bochs" || missing="$missing $r"
	done
	if ! agree "$work/$name.bochs" "$work/$name.ours"; then
		fail "$name: Bochs saw the exits of our trace" "$difference"
	elif [ -n "$missing" ]; then
		fail "$name: Bochs saw the exits of our trace" "the guest is known for exits that nobody saw:$missing"
	elif grep -q 'missing\|unknown' "$work/$name.bochs"; then
		fail "$name: Bochs saw the exits of our trace" "incomplete: $(grep -m 1 'missing\|unknown' "$work/$name.bochs")"
	else
		ok "$name: Bochs saw the $(wc -l <"$work/$name.ours") exits of our trace, no more and no less"
	fi
}

witness() { # NAME STATUS REASONS GUEST OPTION...
	local name=$1 status=$2 want=$3
	shift 3
	run_seen "$status" "$@" && hear "$name" 1 "$work/trace.dat" "$want"
}

witness hello 0 "28 30 31 32" hello
witness exits 0 "10 13 28 29 30 31 32 48 55" exits
witness paging 0 "28 30" paging
witness modes 0 "28 30" modes
witness timer 0 "12 30 52" timer
witness paging-shadow 0 "0 14 28 30" paging --controls vtx-shadow
witness paging-all 0 "0 14 28 30 46" paging --controls all
hostile=$(dirname "$(readlink -f "$VMSCOPE")")/guests/tests/hostile.elf
witness triple 1 "2" "$hostile" --append what=triple
witness cr8 0 "28" "$hostile" --append what=cr8
witness vmx 0 "19 27" "$hostile" --append what=vmx

# Two guests under one VMM, by turns.
if run_seen 0 timer --also exits; then
	hear timer-of-two 1 "$work/trace.dat" "12 30 52"
	hear exits-of-two 2 "$work/trace.dat.2" "10 28 30 48"
	is "two guests: Bochs has no exit of a third" "$(grep -c '] VMEXIT reason = ' "$work/log")" \
		"$(cat "$work/timer-of-two.ours" "$work/exits-of-two.ours" | wc -l)"
fi

# Would it notice? One record is spoilt, in the middle of a list that agreed.
noticed() { # NAME SPOILT-LIST WHOSE
	local other=ours
	[ "$3" = ours ] && other=bochs
	if cmp -s "$2" "$work/timer.$3"; then
		fail "noticed: $1" "nothing was spoilt"
	elif agree "$2" "$work/timer.$other"; then
		fail "noticed: $1" "the lists agree"
	else
		ok "noticed: $1"
	fi
}
spoil() { # NAME WHOSE SED-SCRIPT
	sed "$3" "$work/timer.$2" >"$work/spoilt"
	noticed "$1" "$work/spoilt" "$2"
}
if [ "$failures" -eq 0 ]; then
	timer=$(grep -n '^52 ' "$work/timer.bochs" | sed -n '3s/:.*//p')
	spoil "a timer exit that is not in our trace" ours "${timer}d"
	spoil "a timer exit that Bochs does not have" bochs "${timer}d"
	spoil "an exit that is in our trace twice" ours "${timer}p"
	spoil "another reason" ours "${timer}s/^52/7/"
	spoil "another qualification" ours "$(grep -n -m 1 '^30 ' "$work/timer.ours" | sed 's/:.*//')s/.\$/f/"
	spoil "another MSR" ours 's/^\(32 .*\)80$/\181/'
	spoil "the last exit is not in our trace" ours "\$d"
	swap=$(awk 'NR > 100 && $0 != last { print NR - 1; exit } { last = $0 }' "$work/timer.ours")
	spoil "two exits in the wrong order" ours "${swap}{h;d};$((swap + 1))G"
	# The same in the trace itself: one event fewer.
	awk '/ kvm_exit: / && ++n == 100 { next } { print }' "$work/timer.events" >"$work/fewer"
	our_exits "$work/fewer" >"$work/spoilt"
	noticed "an event that is not in the trace" "$work/spoilt" ours
fi

# A log that cannot be written is said before anything starts.
VMSCOPE_BOCHS_LOG=$work/no/such/folder one_line "a log that cannot be written" 3 "$VMSCOPE" run hello --mode virtualize \
	--type 1 --machine bochs
finish
