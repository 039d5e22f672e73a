#!/bin/bash
# virtualize/II on a /dev/kvm with hardware semantics and real kvm_exit events: AMD-V in QEMU's translator.
. "$(dirname "$0")/../e2e/lib.sh"
. "$top/tests/nested/guests.sh"
nested_check amd "AMD-V under QEMU"
finish
