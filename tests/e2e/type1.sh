#!/bin/bash
# Type I: every bundled guest under the bare-metal VMM. Its console, its end and its exits are those of emulate/II, on each
# machine and with each engine that is here; the audit inside the image holds; nothing is lost on the way.
. "$(dirname "$0")/lib.sh"

have jq || { skip "type I" "jq is not installed"; finish; }
have bochs || skip "type I on Bochs" "bochs is not installed"
have qemu-system-x86_64 || skip "type I on QEMU" "qemu-system-x86_64 is not installed"
guests=(hello primes exits boot16 timer paging modes sensitive)

# Exits by reason, but for interrupts, windows and time slices.
counts() { jq -r '[.exits.by_reason[] | select(.reason < 65536 and (.reason | IN(1, 7, 52) | not)) | "\(.name)=\(.count)"] | sort | join(" ")' "$1"; }

# run_one LABEL GUEST OPTIONS...: one run of a bundled guest against its run in emulate/II ($work/GUEST.json)
run_one() {
	local label=$1 guest=$2
	shift 2
	run_status "$label: ends well" 0 "$VMSCOPE" run "$guest" --type 1 --timeout 120 --json "$@" || return
	jq -j .console "$work/out" >"$work/console"
	# A machine without PCIDs has no INVPCID either: AMD-V in QEMU and in Bochs.
	case $label in
	*AMD-V*) sed 's/^INVPCID: .*/INVPCID: not on this CPU/' "labs/guests/$guest.expected" >"$work/expected" ;;
	*) cp "labs/guests/$guest.expected" "$work/expected" ;;
	esac
	cmp -s "$work/console" "$work/expected" && ok "$label: console" ||
		fail "$label: console" "$(diff "$work/expected" "$work/console" | head -n 8)"
	is "$label: resource control" holds "$(jq -r .verdicts.safety.state "$work/out")"
	is "$label: nothing is lost" "0 0 0 0" \
		"$(jq -r '[.exits.lost, .session.line.lost, .session.lost_record_bytes, .session.lost_console_bytes] | join(" ")' "$work/out")"
}

for g in "${guests[@]}"; do
	"$VMSCOPE" run "$g" --json >"$work/$g.json" 2>/dev/null
	if have qemu-system-x86_64; then
		run_one "$g, emulate in QEMU" "$g" --mode emulate --machine qemu
		is "$g, emulate in QEMU: instructions and exits" \
			"$(jq .instructions "$work/$g.json") $(counts "$work/$g.json")" "$(jq .instructions "$work/out") $(counts "$work/out")"
		run_one "$g, AMD-V in QEMU" "$g" --mode virtualize --engine svm --machine qemu
		is "$g, AMD-V in QEMU: the engine" svm "$(jq -r .backend "$work/out")"
	fi
	if have bochs; then
		run_one "$g, VT-x in Bochs" "$g" --mode virtualize --machine bochs
		want=$(counts "$work/$g.json")
		# Bochs 2.7 exits for XSETBV at CPL 3, before it looks at the privilege level: one more.
		[ "$g" = sensitive ] && want=${want/XSETBV=1/XSETBV=2}
		is "$g, VT-x in Bochs: exits" "$want" "$(counts "$work/out")"
		is "$g, VT-x in Bochs: the engine" vmx "$(jq -r .backend "$work/out")"
	fi
done
if have bochs; then
	run_one "hello, emulate in Bochs, on a CPU without virtualization" hello --mode emulate --machine bochs
	run_one "exits, AMD-V in Bochs" exits --mode virtualize --engine svm --machine bochs

	# Who counts instructions that the CPU runs by itself? Under Bochs its TSC does: exactly those of emulate.
	"$VMSCOPE" run exits --append "only=1 out=1000" --json >"$work/e" 2>/dev/null
	run_status "a thousand OUT" 0 "$VMSCOPE" run exits --append "only=1 out=1000" --type 1 --mode virtualize --machine bochs --json
	is "the guest's ticks are the guest's instructions" "$(jq .instructions "$work/e")" "$(jq .session.ticks.guest "$work/out")"
	is "and efficiency is decided by them" "true true" "$(jq -r '[(.verdicts.efficiency.evidence | contains("one an instruction")),
		((1 - .exits.total / .session.ticks.guest - .verdicts.efficiency.direct_fraction) | fabs < 0.0001)] | join(" ")' "$work/out")"
	# The last exit has no entry after it: its part of the phases is all that the whole may lack.
	is "what the VMM's instructions were spent on adds up" true \
		"$(jq '.session.ticks | (([.phases[]] | add) - .vmm) | . >= 0 and . < 5000' "$work/out")"

	# Three guests under one VMM: own consoles, own traces.
	run_status "three guests under one VMM" 0 "$VMSCOPE" run primes --also hello --also "timer halted=3 busy=2" --type 1 \
		--mode virtualize --machine bochs --trace "$work/t.dat" --json
	is "each console is its own" "$(sha256sum labs/guests/primes.expected labs/guests/hello.expected | cut -d' ' -f1 | tr '\n' ' ')" \
		"$(jq -r '[.console_sha256, .others[0].console_sha256] | join(" ")' "$work/out") "
	is "each has its own trace" "primes hello timer" \
		"$(for t in t.dat t.dat.2 t.dat.3; do "$VMSCOPE" stat "$work/$t" --by guest --json | jq -r .guest; done | tr '\n' ' ' | sed 's/ $//')"
	n=$("$VMSCOPE" report "$work/t.dat.3" --filter 'kvm_exit:exit_reason==12' | grep -c kvm_exit)
	is "the third guest's HLT exits are in the third trace" 3 "$n"

	# On virtual time nothing comes from the machine: two runs are one, byte by byte.
	"$VMSCOPE" run exits --type 1 --mode emulate --machine bochs --trace "$work/a.dat" >/dev/null 2>&1
	machine=bochs
	have qemu-system-x86_64 && machine=qemu
	"$VMSCOPE" run exits --type 1 --mode emulate --machine $machine --trace "$work/b.dat" >/dev/null 2>&1
	cmp -s "$work/a.dat" "$work/b.dat" && [ -s "$work/a.dat" ] && ok "emulate on bare metal: the trace is the same on Bochs and $machine" ||
		fail "emulate on bare metal: the trace is the same on Bochs and $machine"
fi

# A CD that needs no host: the VMM, the guest, the summary on the serial line.
if have grub-mkrescue && have xorriso && have qemu-system-x86_64; then
	run_status "iso: written" 0 "$VMSCOPE" iso hello --also "exits only=1 cpuid=7" -o "$work/x.iso"
	timeout 60 qemu-system-x86_64 -accel tcg -cpu max -m 256 -cdrom "$work/x.iso" -display none -monitor none -serial stdio \
		-no-reboot >"$work/cd" 2>"$work/cd.err" </dev/null &
	pid=$!
	for _ in $(seq 300); do
		[ "$(grep -ac 'resource control' "$work/cd")" -lt 2 ] && kill -0 $pid 2>/dev/null || break
		sleep 0.2
	done
	kill $pid 2>/dev/null
	wait $pid 2>/dev/null
	for line in 'Hello from a guest: long mode' '^hello (svm, profile vtx-ept)' '^exits (svm, profile vtx-ept)' '  CPUID *7' 'resource control  holds'; do
		grep -aq "$line" "$work/cd" && ok "iso in QEMU says: $line" || fail "iso in QEMU says: $line" "$(tail -n 20 "$work/cd")" "$(head -n 3 "$work/cd.err")"
	done
else
	skip "iso" "grub-mkrescue, xorriso or qemu-system-x86_64 is not installed"
fi
finish
