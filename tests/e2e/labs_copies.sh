#!/bin/bash
# Labs 06 to 10: what a student gets to try things with is what the grader runs.
. "$(dirname "$0")/lib.sh"

# The lines of $1 from the one that begins with $2 to the one before the one that begins with $3.
part() {
	awk -v from="$2" -v to="$3" 'index($0, to) == 1 { on = 0 } index($0, from) == 1 { on = 1 } on' "$1" | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}'
}

same_part() {
	local a b
	a=$(part "$2" "$4" "$5")
	b=$(part "$3" "$4" "$6")
	is "$1: it is there" 1 "$((${#a} > 500))"
	is "$1" "$a" "$b"
}

same_part "06: the machine" labs/06_trap_and_emulate/starter/machine.lua labs/06_trap_and_emulate/scenes.lua \
	"local NAMES" "return {" "-- No file of this lab"
same_part "06: the guests" labs/06_trap_and_emulate/starter/programs.lua labs/06_trap_and_emulate/scenes.lua \
	"-- Random numbers from a seed" "return program" "local function memory_of"
same_part "08: the guest that ticks" labs/08_ticks/starter/tick.lua labs/08_ticks/scenes.lua \
	"-- A guest that waits" "local p = {" "-- Prices and guests"
same_part "08: the guest for the device" labs/08_ticks/starter/device.lua labs/08_ticks/scenes.lua \
	"-- A guest for the submission's device" "local args = {" "-- args: period, asleep"
same_part "10: the guest that exits too often" labs/10_escape_and_efficiency/starter/chatty.lua \
	labs/10_escape_and_efficiency/scenes.lua "# The guest of part B" "]==]" "]==]"
is "09: the cost model" "$(cat modes/simulate/costs/nehalem-2011.lua)" "$(cat labs/09_type1_type2/starter/model.lua)"
finish
