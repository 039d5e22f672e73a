#!/bin/bash
# However a Type I run ends, nothing is left: no process, no file, no lock, no port. Success, failure, SIGINT, SIGTERM,
# kill -9 of vmscope, of the machine and of the process between them.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

export TMPDIR=$work/tmp # where vmscope puts the machine's files: everything there is of this test
mkdir "$TMPDIR"

# The processes that belong to the runs of this test: those whose working directory or arguments are in $TMPDIR, and the
# keepers, which have the directory's name from their parent.
leftovers() {
	local p
	for p in /proc/[0-9]*; do
		case $(readlink "$p/cwd" 2>/dev/null) in "$TMPDIR"/*) echo "${p#/proc/}" ;; esac
		if [ "$(cat "$p/comm" 2>/dev/null)" = vmscope-keeper ] &&
			tr '\0' '\n' <"$p/environ" 2>/dev/null | grep -qx "TMPDIR=$TMPDIR"; then
			echo "${p#/proc/}"
		fi
	done
}

nothing_left() { # NAME: within three seconds
	for _ in $(seq 30); do
		if [ -z "$(leftovers)" ] && [ -z "$(ls -A "$TMPDIR")" ]; then
			ok "$1"
			return
		fi
		sleep 0.1
	done
	fail "$1" "processes: $(leftovers | tr '\n' ' ')" "files: $(find "$TMPDIR" | tr '\n' ' ')"
	local p
	for p in $(leftovers); do kill -9 "$p"; done
	rm -rf "${TMPDIR:?}"/*
}

# Starts a guest that never ends, waits until its machine runs; sets $pid, $keeper and $machine_pid.
start_endless() { # MACHINE
	"$VMSCOPE" run "$work/endless.bin" --mode virtualize --type 1 --machine "$1" >"$work/out" 2>"$work/err" &
	pid=$!
	keeper='' machine_pid=''
	for _ in $(seq 100); do
		keeper=$(pgrep -P "$pid" -f . | head -1)
		[ -n "$keeper" ] && machine_pid=$(pgrep -P "$keeper" | head -1)
		[ -n "$machine_pid" ] && [ -e "$(echo "$TMPDIR"/vmscope-*/bulk.img)" ] && break
		sleep 0.1
	done
	sleep 1
	[ -n "$machine_pid" ] && kill -0 "$pid" 2>/dev/null
}

kill_and_look() { # MACHINE SIGNAL WHOM NAME
	local target status=0
	if ! start_endless "$1"; then
		fail "$4: it runs" "$(head -c 500 "$work/err")"
		kill -9 "$pid" 2>/dev/null
		return
	fi
	case $3 in vmscope) target=$pid ;; machine) target=$machine_pid ;; keeper) target=$keeper ;; esac
	kill "-$2" "$target"
	wait "$pid" || status=$?
	nothing_left "$4"
	if [ "$3" != vmscope ]; then
		is "$4: vmscope says that the machine is gone" 3 "$status"
		grep -q "machine ($1) ended" "$work/err" "$work/out" || fail "$4: in one line" "$(head -c 500 "$work/err")"
	fi
}

printf '\353\376' >"$work/endless.bin" # jmp .
for machine in qemu bochs; do
	if ! "$VMSCOPE" run hello --mode virtualize --type 1 --machine "$machine" >"$work/out" 2>"$work/err"; then
		skip "$machine leaves nothing behind" "$(head -1 "$work/err")"
		continue
	fi
	nothing_left "$machine: after success"
	run_status "$machine: a guest that never ends, and a time limit" 4 \
		"$VMSCOPE" run "$work/endless.bin" --mode virtualize --type 1 --machine "$machine" --timeout 2
	nothing_left "$machine: after a time limit"
	for what in INT TERM KILL; do
		kill_and_look "$machine" "$what" vmscope "$machine: after SIG$what"
	done
	kill_and_look "$machine" KILL machine "$machine: after kill -9 of the machine"
	kill_and_look "$machine" KILL keeper "$machine: after kill -9 of the process that keeps it"
done
mkdir "$work/empty"
one_line 'without an image: one line' 3 env VMSCOPE_METAL="$work/empty" "$VMSCOPE" run hello --mode emulate --type 1
nothing_left 'after a failure before the start'

# An image that the boot sector accepts and that faults at once.
mkdir "$work/broken"
metal=$(dirname "$(readlink -f "$VMSCOPE")")/metal
if [ -e "$metal/bootsect.bin" ]; then
	cp "$metal/bootsect.bin" "$work/broken"
	{
		head -c 64 "$metal/vmscope-metal.bin"
		head -c 100000 /dev/zero | tr '\0' '\377'
	} >"$work/broken/vmscope-metal.bin"
	one_line 'an image that does not start: one line' 3 \
		env VMSCOPE_METAL="$work/broken" "$VMSCOPE" run hello --mode emulate --type 1
	nothing_left 'after a failure to boot'
fi

# A machine that starts and never speaks: who gives up does not wait for it.
mkdir "$work/mute"
printf '#!/bin/sh\nexec sleep 100\n' >"$work/mute/bochs"
chmod +x "$work/mute/bochs"
one_line 'a machine that never speaks, and a time limit: one line' 4 timeout 10 \
	env PATH="$work/mute:$PATH" "$VMSCOPE" run hello --mode emulate --type 1 --machine bochs --timeout 1
nothing_left 'after a start that was given up'
finish
