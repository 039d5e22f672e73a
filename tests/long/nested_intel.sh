#!/bin/bash
# The same on VT-x with EPT: Bochs. About a minute and a half.
. "$(dirname "$0")/../e2e/lib.sh"
. "$top/tests/nested/guests.sh"
nested_check intel "VT-x under Bochs"
finish
