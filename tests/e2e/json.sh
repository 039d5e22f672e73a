#!/bin/bash
# Everything that --json prints validates against the schemas in tests/schema.
. "$(dirname "$0")/lib.sh"

python=
for p in python3 /usr/bin/python3; do
	"$p" -c 'import jsonschema' 2>/dev/null && python=$p && break
done
[ -n "$python" ] || { skip "JSON validates" "python3-jsonschema is not installed"; finish; }

cat >"$work/check.py" <<'PY'
import json, sys, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
try:
    jsonschema.Draft202012Validator(schema).validate(json.load(open(sys.argv[2])))
except jsonschema.ValidationError as e:
    sys.exit("%s: %s" % ("/".join(map(str, e.absolute_path)), e.message[:300]))
PY

valid() { # schema, label, command...
	local schema=$1 label=$2
	shift 2
	"$@" >"$work/j" 2>"$work/err"
	if out=$("$python" "$work/check.py" "tests/schema/$schema.json" "$work/j" 2>&1); then
		ok "$label"
	else
		fail "$label" "$out" "$(head -c 400 "$work/err")"
	fi
}

valid run "run --json, emulate" "$VMSCOPE" run hello --json
valid run "run --json, simulate, type 1" "$VMSCOPE" run hello --mode simulate --type 1 --json
valid run "run --json, a limit" "$VMSCOPE" run primes --max-exits 3 --json
valid run "run --json, a boot sector" "$VMSCOPE" run boot16 --json
valid compare "compare --json" "$VMSCOPE" compare hello --json
valid audit "audit --json" "$VMSCOPE" audit sensitive --json
valid doctor "doctor --json" "$VMSCOPE" doctor --json
"$VMSCOPE" run exits --trace "$work/t.dat" >/dev/null 2>&1
for by in reason rip vcpu guest; do
	valid stat "stat --by $by --json" "$VMSCOPE" stat "$work/t.dat" --by $by --json
done
if "$VMSCOPE" run hello --mode virtualize --json >"$work/j" 2>/dev/null || [ -s "$work/j" ]; then
	valid run "run --json, virtualize" "$VMSCOPE" run hello --mode virtualize --json
else
	skip "run --json, virtualize" "no /dev/kvm here"
fi

# A schema that accepts everything would prove nothing: a missing key and an invented one are refused.
"$VMSCOPE" run hello --json 2>/dev/null >"$work/good"
jq 'del(.virtual_ns)' "$work/good" >"$work/j" && ! "$python" "$work/check.py" tests/schema/run.json "$work/j" 2>/dev/null &&
	ok "a missing key is refused" || fail "a missing key is refused"
jq '.invented = 1' "$work/good" >"$work/j" && ! "$python" "$work/check.py" tests/schema/run.json "$work/j" 2>/dev/null &&
	ok "an invented key is refused" || fail "an invented key is refused"

# The digest is that of the console, whichever way it is taken.
jq -j .console "$work/good" >"$work/console"
is "console_sha256 is the digest of the console" "$(sha256sum <"$work/console" | cut -d' ' -f1)" "$(jq -r .console_sha256 "$work/good")"
"$VMSCOPE" run hello 2>/dev/null >"$work/live"
cmp -s "$work/live" "$work/console" && ok "stdout without --json is the same console" || fail "stdout without --json is the same console"
finish
