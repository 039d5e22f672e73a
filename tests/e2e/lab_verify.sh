#!/bin/bash
# lab verify finds what a lab does not ask for. (labs_verify.sh is about the labs of this repository.)
. "$(dirname "$0")/lib.sh"
have as || { skip "lab verify" "there is no assembler"; finish; }
verify() { # NAME, STATUS, LAB
	run_status "$1" "$2" "$VMSCOPE" lab verify "$3"
}
says() {
	if grep -qF -- "$2" "$work/out"; then ok "$1"; else fail "$1" "not said: $2" "$(head -c 2000 "$work/out")"; fi
}
lab=$work/01_test
restore() {
	rm -rf "$lab" "$work/solutions"
	cp -r tests/labs/01_test "$lab"
	mkdir "$work/solutions"
	cp -r tests/labs/solutions/01_test "$work/solutions/01_test"
}

restore
verify "a good lab" 0 "$lab"
says "its mutants are counted" "22 of 22 mutants: 21 killed, 1 equivalent, 0 left: 100.0 %"
says "and its predictions" "2 predictions changed: 2 lose points"

sed -i '/"answer", r.answer/d' "$lab/lab.lua"
verify "a lab that does not ask for something" 1 "$lab"
says "the mutant that nobody noticed" "more.lua:3: 42 -> 43: it has full marks all the same"
restore
sed -i 's/equivalent = {/equivalent = { "more.lua:3: 42 -> 43",/' "$lab/lab.lua"
verify "a mutant that is declared equivalent, and is not" 1 "$lab"
says "it says so" "it is declared equivalent, and loses points"
restore
sed -i 's/equivalent = {/equivalent = { "more.lua:30: 42 -> 43",/' "$lab/lab.lua"
verify "a mutant that there is none" 1 "$lab"
says "it says so" "1 of its lines name no mutant"
restore
sed -i 's/leaf + 7/leaf + (exit.leaf > 20 and 8 or 7)/' "$work/solutions/01_test/cpuid.lua"
sed -i 's/t:reference("ask", { leaf = leaf }).eax/leaf + 7/' "$lab/lab.lua"
verify "a solution that is wrong with one seed" 1 "$lab"
says "it says with which" "the solution loses points in task unseen with seed 1: leaf 0x16: expected 29, seen 30"
restore
echo 'return { exits = 109, reason = "IO_INSTRUCTION" }' >"$work/solutions/01_test/predictions.lua"
sed -i 's/within = 2/within = 0/' "$lab/lab.lua"
verify "a solution that predicts wrongly" 1 "$lab"
says "it says what is right" "the solution's prediction exits is wrong with seed 1: 109, it is 108"
restore
cp "$work/solutions/01_test"/* "$lab/starter"
verify "a starter with nothing to do" 1 "$lab"
says "it says so" "the starter has full marks already"
rm -r "$work/solutions"
one_line "a lab without its solution" 2 "$VMSCOPE" lab verify "$lab"

finish
