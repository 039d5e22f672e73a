# shellcheck shell=bash
# What both nested machines must show, after tests/e2e/lib.sh: nested_check KIND LABEL. KIND: amd or intel.
: "${work:?set by tests/e2e/lib.sh}"

nested_guests=(hello exits primes boot16 timer paging modes sensitive)

nested_script() {
	cat <<'END'
export VMSCOPE_GUESTS=/t
END
	[ ! -x "$unit" ] || echo './test_virtualize_kvm >/out/unit.log 2>&1; echo $? >/out/unit.status'
	for g in "${nested_guests[@]}"; do
		echo "./vmscope compare $g --timeout 60 --json >/out/$g.json 2>/out/$g.err; echo \$? >/out/$g.status"
	done
	echo './vmscope run hello --mode virtualize --trace /out/hello.dat >/out/hello.txt 2>/out/hello.run'
	echo './vmscope doctor >/out/doctor.txt 2>&1'
}

# One value of a guest's comparison, by jq.
of() { jq -r "$2" "$work/vm/$1.json" 2>/dev/null || echo "no JSON"; }

nested_guest() { # name
	local g=$1 want=holds
	local row='.equivalence[] | select(.subject == "virtualize/II")'
	# RDTSC does not exit under KVM: the contract asks for "unknown", with the place.
	[ "$g" != sensitive ] || want=unknown
	is "$label, $g: lockstep of KVM against the reference" "$want" "$(of "$g" "$row | .state")"
	[ "$(of "$g" "$row | .state")" = "$want" ] || printf '    %s\n' "$(of "$g" "$row | .evidence")" "$(head -c 1500 "$work/vm/$g.err")"
	[ "$g" != sensitive ] || case $(of "$g" "$row | .evidence") in
	*rdtsc*rip*) ok "$label, $g: the reason is RDTSC, with its rip" ;;
	*) fail "$label, $g: the reason is RDTSC, with its rip" "$(of "$g" "$row | .evidence")" ;;
	esac
	# The reference of the table has the model's CPUID; a host that cannot give it to its guest is exempt by name.
	case $(of "$g" "$row | .exemptions | join(\"; \")") in
	*CPUID*) return ;;
	esac
	is "$label, $g: consoles of KVM and the reference are equal" "$(of "$g" '.runs[] | select(.mode == "emulate" and .type == 2) | .console_sha256')" \
		"$(of "$g" '.runs[] | select(.mode == "virtualize" and .type == 2) | .console_sha256')"
}

nested_check() {
	local kind=$1 label=$2 build status=0 run='.runs[] | select(.mode == "virtualize" and .type == 2)'
	build=$(dirname "$(readlink -f "$VMSCOPE")")
	# Bochs is a tenth as fast: two guests that run long stay out.
	[ "$kind" = amd ] || nested_guests=(hello exits primes boot16 paging modes)
	unit=$build/tests/unit/test_virtualize_kvm
	nested_script >"$work/script"
	mapfile -t files < <(find "$build/guests" -maxdepth 1 -type f)
	files=("$VMSCOPE" "${files[@]}")
	[ ! -x "$unit" ] || files+=("$unit")
	tests/nested/testbed "$kind" "$work/vm" "$work/script" "${files[@]}" 2>"$work/testbed.err" || status=$?
	if [ $status = 77 ]; then
		skip "$label" "$(sed -n '1s/^testbed: //p' "$work/testbed.err")"
		return
	fi
	if [ $status != 0 ]; then
		fail "$label comes up and answers" "$(cat "$work/testbed.err")"
		return
	fi
	ok "$label comes up and answers"
	[ ! -x "$unit" ] || is "$label: unit tests of the KVM backend" 0 "$(cat "$work/vm/unit.status")"
	[ "$(cat "$work/vm/unit.status" 2>/dev/null || echo 0)" = 0 ] || grep -A3 'ERROR\|FAILED' "$work/vm/unit.log" | sed 's/^/    /'
	for g in "${nested_guests[@]}"; do
		nested_guest "$g"
	done
	is "$label, primes: efficiency holds, by counted exits" holds "$(of primes "$run | .verdicts.efficiency.state")"
	is "$label, primes: the share that ran directly is above 0.99" true "$(of primes "$run | .verdicts.efficiency.direct_fraction > 0.99")"
	is "$label, hello: kernel-handled and forwarded exits have a label" true \
		"$(of hello "[$run | .exits.by_reason[] | select(.observed == \"kernel\" and .reason == 30) | .count] | add >= 104")"
	is "$label, exits: CPUID exits are seen in the kernel" true \
		"$(of exits "[$run | .exits.by_reason[] | select(.observed == \"kernel\" and .reason == 10) | .count] | add > 0")"
}
