#!/bin/bash
# Every export of a result validates against the schema of its format, and is read by the programs that read it: made
# results (tests/programs/export_samples), among them one whose every text is hostile.
. "$(dirname "$0")/lib.sh"

samples=$(dirname "$(readlink -f "$VMSCOPE")")/tests/programs/export_samples
[ -x "$samples" ] || { skip "exports" "tests/programs/export_samples is not built"; finish; }
dir=$work/samples
mkdir "$dir"
run_status "results in every format" 0 "$samples" "$dir" || finish

python=
for p in python3 /usr/bin/python3; do
	"$p" -c 'import jsonschema' 2>/dev/null && python=$p && break
done

cat >"$work/check.py" <<'PY'
import json, sys, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
try:
    jsonschema.Draft202012Validator(schema).validate(json.load(open(sys.argv[2], encoding="utf-8")))
except jsonschema.ValidationError as e:
    sys.exit("%s: %s" % ("/".join(map(str, e.absolute_path)), e.message[:300]))
PY
check() { "$python" "$work/check.py" "tests/schema/grade/$1.json" "$2"; }

# --- JSON ---
if [ -n "$python" ]; then
	for sample in full partial gated ungraded nothing hidden hostile; do
		for format in json gradescope classroom50 prairielearn; do
			file=$dir/$sample.$format
			schema=$format
			[ $format = json ] && schema=result
			if [ -e "$file.why" ]; then
				case $sample in ungraded | nothing) ok "$format of $sample: refused" ;;
				*) fail "$format of $sample" "$(cat "$file.why")" ;; esac
			elif out=$(check $schema "$file" 2>&1); then
				ok "$format of $sample is valid"
			else
				fail "$format of $sample is valid" "$out"
			fi
		done
	done
	# What the schema cannot say: points are not above their maximum, and those of tasks are the total's.
	out=$("$python" - "$dir" <<'PY'
import glob, json, sys
for path in glob.glob(sys.argv[1] + "/*.json"):
    r = json.load(open(path, encoding="utf-8"))
    if abs(sum(t["points"] for t in r["tasks"]) - r["points"]) > 0.001: print(path, "points")
    if any(t["points"] > t["max"] for t in r["tasks"]): print(path, "max")
for path in glob.glob(sys.argv[1] + "/*.classroom50"):
    text = open(path, encoding="utf-8").read()
    if not text: continue
    r = json.loads(text)
    if r["score"] > r["max-score"] or any(t["score"] > t["max-score"] for t in r["tests"]): print(path, "max-score")
PY
	)
	is "points are within their maximum" "" "$out"
	# A schema that accepts everything would prove nothing.
	refuses() { # format, what, a jq program
		jq "$3" "$dir/partial.$1" >"$work/j"
		local schema=$1
		[ "$1" = json ] && schema=result
		if check "$schema" "$work/j" >/dev/null 2>&1; then fail "$1: $2 is refused"; else ok "$1: $2 is refused"; fi
	}
	refuses json "a missing field" 'del(.trace_hash)'
	refuses json "an invented field" '.invented = 1'
	refuses json "no reason" '.gradable = false'
	refuses gradescope "an invented visibility" '.tests[0].visibility = "never"'
	refuses gradescope "a score as a text" '.score = "13"'
	refuses classroom50 "an invented field" '.extra = 1'
	refuses classroom50 "a score that is not whole" '.score = 13.5'
	refuses classroom50 "another submission" '.submission = "x/1"'
	refuses prairielearn "points as a score" '.score = 13'
	refuses prairielearn "an attempt that is not gradable, without a word" '.gradable = false'
else
	skip "JSON validates" "python3-jsonschema is not installed"
fi

# --- XML ---
if have xmllint; then
	for sample in full partial gated ungraded nothing hidden hostile; do
		if out=$(xmllint --noout --schema tests/schema/grade/junit.xsd "$dir/$sample.junit" 2>&1); then
			ok "junit of $sample is valid"
		else
			fail "junit of $sample is valid" "$out"
		fi
		for what in failures/failure errors/error skipped/skipped tests/testcase; do
			said=$(xmllint --xpath "string(//testsuite/@${what%/*})" "$dir/$sample.junit")
			there=$(xmllint --xpath "count(//${what#*/})" "$dir/$sample.junit")
			[ "$said" = "$there" ] || fail "junit of $sample: ${what%/*}" "it says $said, and there are $there"
		done
	done
	sed 's/tests="2"/tests="two"/' "$dir/partial.junit" >"$work/x"
	if xmllint --noout --schema tests/schema/grade/junit.xsd "$work/x" 2>/dev/null; then
		fail "junit: a count in words is refused"
	else
		ok "junit: a count in words is refused"
	fi
else
	skip "JUnit XML validates" "xmllint (libxml2-utils) is not installed"
fi

# --- TAP ---
cat >"$work/tap.pl" <<'PL'
use strict; use warnings; use TAP::Parser;
my ($path) = @ARGV;
open my $f, '<:encoding(UTF-8)', $path or die;
my $p = TAP::Parser->new({ tap => do { local $/; <$f> } });
my ($yaml, $bail) = (0, 0);
while (my $r = $p->next) {
	die "unknown line: " . $r->raw . "\n" if $r->is_unknown && $r->raw ne '';
	$yaml++ if $r->is_yaml && defined $r->data->{max};
	$bail++ if $r->is_bailout;
}
my @errors = $p->parse_errors;
die "@errors\n" if @errors && !$bail;
printf "%d tests, passed %s, failed %s, skipped %s, %d diagnostics%s\n", $p->tests_run, join('.', $p->passed),
	join('.', $p->failed), join('.', $p->skipped), $yaml, $bail ? ', bailed out' : '';
PL
if perl -MTAP::Parser -e 1 2>/dev/null; then
	tap() { is "tap of $1" "$2" "$(perl "$work/tap.pl" "$dir/$1.tap" 2>&1)"; }
	tap full "2 tests, passed 1.2, failed , skipped , 2 diagnostics"
	tap partial "2 tests, passed , failed 1.2, skipped , 2 diagnostics"
	tap gated "3 tests, passed 3, failed 1.2, skipped 3, 2 diagnostics"
	tap hidden "2 tests, passed 1, failed 2, skipped , 2 diagnostics"
	tap hostile "4 tests, passed , failed 1.2.3.4, skipped , 4 diagnostics"
	tap ungraded "2 tests, passed 1, failed 2, skipped , 2 diagnostics, bailed out"
	tap nothing "0 tests, passed , failed , skipped , 0 diagnostics, bailed out"
else
	skip "TAP is read" "perl has no TAP::Parser here"
fi

# --- CSV ---
cat >"$work/rows.py" <<'PY'
import csv, sys
rows = list(csv.reader(open(sys.argv[1], newline="", encoding="utf-8"), strict=True))
header, row = rows
assert len(rows) == 2 and len(header) == len(row), rows
d = dict(zip(header, row))
print(d["submission"][:20], d["gradable"], d["points"], d["max"], sum(h.startswith("task:") for h in header))
PY
if have python3; then
	read_csv() { is "csv of $1" "$2" "$(python3 "$work/rows.py" "$dir/$1.csv" 2>&1)"; }
	read_csv full "full yes 40 40 2"
	read_csv partial "partial yes 13.33 30.5 2"
	read_csv ungraded "ungraded no  40 2"
	read_csv nothing "nothing no  0 0"
	read_csv hostile "'=1+1 \\x1b[2J\\x1b]0; yes 20 40 4"
else
	skip "CSV is read" "there is no python3"
fi

# --- A real result ---
# shellcheck disable=SC2317 # called by run_status
grade() { # the name of a submission, a format
	CLASSROOM=os ASSIGNMENT=cpuid OWNER=alice SUBMISSION_TAG=submit/1 COMMIT_URL=https://example.org/c \
		RELEASE_URL=https://example.org/r COMMIT_DATETIME=2026-11-26T20:40:22Z \
		"$VMSCOPE" grade tests/labs/01_test "$1" --format "$2" -o "$dir/real.$2"
}
for submission in tests/labs/solutions/01_test tests/labs/01_test/starter; do
	for format in text json gradescope classroom50 prairielearn junit tap csv; do
		run_status "$submission as $format" 0 grade "$submission" $format || continue
		case $format in
		text) out=$(grep -c '^Total [0-9.]* of 50 points; predictions [0-9]* of 10$' "$dir/real.text" | grep -vx 1) ;;
		junit) have xmllint || continue; out=$(xmllint --noout --schema tests/schema/grade/junit.xsd "$dir/real.junit" 2>&1 | grep -v validates$) ;;
		tap) out=$(perl -MTAP::Parser -e 1 2>/dev/null && perl "$work/tap.pl" "$dir/real.tap" 2>&1 | grep -v '^3 tests, .* 3 diagnostics$') ;;
		csv) out=$(have python3 && python3 "$work/rows.py" "$dir/real.csv" 2>&1 | grep -v ' 50 3$') ;;
		json) out=$([ -z "$python" ] || check result "$dir/real.json" 2>&1) ;;
		*) out=$([ -z "$python" ] || check $format "$dir/real.$format" 2>&1) ;;
		esac
		is "it is valid" "" "$out"
	done
done
one_line "classroom50 without its runner" 2 env -u CLASSROOM "$VMSCOPE" grade tests/labs/01_test tests/labs/solutions/01_test \
	--format classroom50
rm "$dir"/real.*

# --- Any of them ---
bad=$(LC_ALL=C grep -lP '[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|\xe2\x81[\xa0-\xaf]' "$dir"/* 2>/dev/null)
is "no control character, and nothing that turns text around" "" "$bad"
for f in "$dir"/*; do iconv -f UTF-8 -t UTF-8 "$f" >/dev/null 2>&1 || fail "UTF-8" "$f"; done
is "hidden lines are in the teacher's file only" "$dir/hidden.json" "$(grep -l SECRET "$dir"/*)"
finish
