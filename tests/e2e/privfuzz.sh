#!/bin/bash
# Privileged instructions on another processor (Bochs) and on ours, a small fixed part: tests/long/privfuzz.sh runs more.
# And does it notice an instruction that is wrong?
. "$(dirname "$0")/lib.sh"
export LIMIT=600
N=1500 SEED=4245 tests/long/privfuzz.sh || failures=1
for insn in verr arpl lar; do
	N=800 SEED=4246 BREAK=$insn tests/long/privfuzz.sh || failures=1
done
finish
