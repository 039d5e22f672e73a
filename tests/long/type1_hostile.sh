#!/bin/bash
# Hostile guests beside a quiet one, each under VT-x and AMD-V: tests/e2e/type1_hostile.sh says what for.
exec "$(dirname "$0")/../e2e/type1_hostile.sh" all
