#!/bin/bash
# A script is the VMM in the same way in every backend: handlers, devices, memory, registers and MSRs, also while the
# VMM of type I waits for the script's answer.
. "$(dirname "$0")/lib.sh"

# One that is missing is skipped with the VMM's own reason.
backend_is_here() { # mode, type
	"$VMSCOPE" run hello --mode "$1" --type "$2" >/dev/null 2>"$work/reason"
}

# alike NAME SCRIPT "MODE TYPE ARGUMENT..."...: in each of these backends the script prints what $work/want has
alike() {
	local name=$1 script=$2 how
	shift 2
	for how; do
		# shellcheck disable=SC2086 # words
		set -- $how
		if backend_is_here "$1" "$2"; then
			run_status "$name: $how" 0 "$VMSCOPE" lab run "$script" "$@" &&
				is "$name: $how: the same" "$(cat "$work/want")" "$(cat "$work/out")"
		else
			skip "$name: $how" "$(head -1 "$work/reason")"
		fi
	done
}

# --- The script's own code, handlers and devices ----------------------------------------------------------------------
cat >"$work/vmm.lua" <<'LUA'
local mode, type, how = arg[1], math.tointeger(tonumber(arg[2])), arg[3]
local log = {}
local function say(...) log[#log + 1] = string.format(...) end
local code = vmscope.asm[[
        movl $0x40000000, %eax
        cpuid
        movl %ebx, %edi
        movl $0xc0000082, %ecx
        rdmsr
        movl %eax, %ebp
        movw $0x500, %dx
        inb %dx, %al            # the device
        outb %al, $0xe9
        movw $msg, %si          # and by a string
        movw $3, %cx
        rep outsb
        movw $0xffff, %ax
        movw %ax, %ds
        movb 0x15, %bl          # the device above RAM
        movb %bl, 0x16
        cli                     # the device's interrupt
        movw $pic, %si
        xorw %ax, %ax
        movw %ax, %ds
        movw $5, %cx
1:      lodsb
        xorw %dx, %dx
        movb %al, %dl
        lodsb
        outb %al, %dx
        loop 1b
        movw $0x510, %dx
        outb %al, %dx
        sti
        hlt
        movb $9, %al
        outb %al, $0xf4
msg:    .ascii "xyz"
pic:    .byte 0x20, 0x11, 0x21, 8, 0x21, 4, 0x21, 1, 0x21, 0xdf
isr:    movb $0, %al
        outb %al, $0xf4
]]
local port = vmscope.device{ ports = 0x500,
  read = function(off, size, vm)
    say("read %d %d at %x, memory %x", off, size, vm.cpu[1].rip, vm.mem[0x7c00])
    vm.mem[0x3001] = 0x34
    return 65
  end,
  write = function(off, size, value, vm)
    say("write %d %d %d", off, size, value)
    vm:emit(string.char(value))
  end }
local mmio = vmscope.device{ mmio = { 0x100000, 0x100fff },
  read = function(off, size) say("mmio read %x %d", off, size) return 0x77 end,
  write = function(off, size, value) say("mmio write %x %d %x", off, size, value) end }
local line = vmscope.device{ ports = 0x510, write = function(_, _, _, vm) vm:irq(5, true) end }
local vm = vmscope.vm{ image = code, mem = "1M", mode = mode, type = type, devices = { port, mmio, line },
  machine = arg[4] }
for i = 1, 4 do vm.mem[4 * 13 + i - 1] = 0 end
local isr = #code - 4 + 0x7c00
vm.mem[4 * 13], vm.mem[4 * 13 + 1] = isr & 0xff, isr >> 8
vm:on_exit("CPUID", function(exit, cpu)
  local said = exit:default()
  say("cpuid %x %s ebx %x, memory %x", exit.leaf, said, exit.ebx, vm.mem[0x7c01])
  vm.mem[0x3000] = 0x12
  cpu.msr[0xc0000082] = 0x1234
  exit.ebx = 0x4d4d5621
  return "next"
end)
vm:on_exit("port 0x500", function(exit)
  if not exit.string then say("handler: %s %s", exit.write, exit:default()) end
end)
vm.cpu[1].msr[0xc0000081] = 0x77
if how == "step" then while vm:step_exit(1) == "done" do end else vm:run() end
say("%s %d, edi %x bl %x ebp %x, memory %x %x, star %x", vm.ended.kind, vm.ended.code, vm.cpu[1].edi,
  vm.cpu[1].ebx & 255, vm.cpu[1].ebp, vm.mem[0x3000], vm.mem[0x3001], vm.cpu[1].msr[0xc0000081])
say("%s", vm.console)
print(table.concat(log, "\n"))
LUA

if have as; then
	run_status "emulate II" 0 "$VMSCOPE" lab run "$work/vmm.lua" emulate 2 run
	cp "$work/out" "$work/want"
	for wanted in 'cpuid 40000000 next' 'handler: false next' 'read 0 1 at' 'write 0 1 122' 'mmio read 5 1' \
		'mmio write 6 1 77' 'memory 12 34, star 77' 'debug_exit 0, edi 4d4d5621 bl 77 ebp 1234' 'Axyz'; do
		is "emulate II: $wanted" 1 "$(grep -c "$wanted" "$work/want")"
	done
	alike "the script" "$work/vmm.lua" "emulate 2 step" "emulate 1 run" "virtualize 1 run" "virtualize 1 step"

	# Over a bad cable, exit by exit: questions and answers that are lost are said again.
	if ! [ -x "$server" ]; then
		skip "over a bad line" "tests/programs/agent_server is not built"
	elif ! serve --noise 100 --seed 2; then
		skip "over a bad line" "no pseudo-terminal: $(head -n 1 "$work/server.err")"
	else
		run_status "over a bad line" 0 timeout 120 "$VMSCOPE" lab run "$work/vmm.lua" emulate 1 step "$line" &&
			is "over a bad line: the same" "$(cat "$work/want")" "$(cat "$work/out")"
		server_ended || true
	fi
else
	skip "a script's handlers and devices in each backend" "there is no assembler"
fi

# --- A guest that every backend has, models too -----------------------------------------------------------------------
cat >"$work/upper.lua" <<'LUA'
local got = {}
local uart = vmscope.device{ ports = { 0x3f8, 0x3ff },
  read = function(off) return off == 5 and 0x60 or 0 end,
  write = function(off, _, value, vm)
    if off == 0 then got[#got + 1] = string.char(value) end
    vm:emit(string.char(value):upper())
  end }
local vm = vmscope.vm{ guest = "boot16", mode = arg[1], type = math.tointeger(tonumber(arg[2])), devices = { uart } }
local asked, said = 0, nil
vm:on_exit("port 0x3f8", function(exit) asked, said = asked + 1, exit:default() end)
vm:run()
print(vm.ended.kind, vm.ended.code, asked, said)
print((table.concat(got):gsub("%c", ".")))
print((vm.console:gsub("%c", ".")))
LUA
run_status "boot16: emulate II" 0 "$VMSCOPE" lab run "$work/upper.lua" emulate 2
cp "$work/out" "$work/want"
is "boot16: it asked the handler for each byte" 1 "$(grep -c '^debug_exit.*next$' "$work/want")"
alike boot16 "$work/upper.lua" "simulate 2" "simulate 1" "emulate 1" "virtualize 1" "virtualize 2"
finish
