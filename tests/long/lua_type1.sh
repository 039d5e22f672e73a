#!/bin/bash
# What a script's handlers and devices may do, one guest each: type I does as emulate, type II.
. "$(dirname "$0")/../e2e/lib.sh"

if ! have as; then
	skip "a script's handlers and devices in type I" "there is no assembler"
	finish
fi
cat >"$work/cases.lua" <<'LUA'
local asm = vmscope.asm
local T, saved = {}, nil
local function case(name, code, f, opt) T[#T+1] = {name, code, f, opt or {}} end
case("kill after default", asm[[ xorl %eax,%eax; cpuid; movb $0,%al; outb %al,$0xf4 ]], function(vm) vm:on_exit("CPUID", function(e) e:default() return "kill" end) end)
case("default of the end", asm[[ movb $3,%al; outb %al,$0xf4 ]], function(vm, say) vm:on_exit("port 0xf4", function(e) say(tostring(e:default())) end) end)
case("reflect after default", asm[[ movw $isr, 4*13; movw $0, 4*13+2; xorl %eax,%eax; cpuid; movb $1,%al; outb %al,$0xf4; isr: movb $7,%al; outb %al,$0xf4 ]], function(vm) vm:on_exit("CPUID", function(e) e:default() return "reflect #GP 0" end) end)
case("halt", asm[[ cli; hlt ]], function(vm, say) vm:on_exit("HLT", function(e) say(tostring(e:default())) end) end)
case("two handlers", asm[[ xorl %eax,%eax; cpuid; movb %bl,%al; outb %al,$0xe9; movb $0,%al; outb %al,$0xf4 ]], function(vm, say)
  vm:on_exit("CPUID", function(e) say("first " .. e:default() .. (" %x"):format(e.ebx)) e.ebx = 0x42 return "next" end)
  vm:on_exit("CPUID", function(e) say("second") end) end)
case("default, error", asm[[ xorl %eax,%eax; cpuid; movb $0,%al; outb %al,$0xf4 ]], function(vm) vm:on_exit("CPUID", function(e) e:default() error("oops") end) end)
case("device error", asm[[ inb $0x50,%al; movb $0,%al; outb %al,$0xf4 ]], function() end, { devices = { vmscope.device{ ports = 0x50, read = function() error("bad") end } } })
case("device no number", asm[[ inb $0x50,%al; movb $0,%al; outb %al,$0xf4 ]], function() end, { devices = { vmscope.device{ ports = 0x50, read = function() return "x" end } } })
case("a device that fails is the end there, too", asm[[ movb $1,0x9000; inb $0x50,%al; 1: incl 0x9004; jmp 1b ]], function() end,
  { see = { 0x9000, 0x9004, 0x9005 }, devices = { vmscope.device{ ports = 0x50, read = function() error("bad") end } } })
case("default in its own device", asm[[ inb $0x50,%al; movb $0,%al; outb %al,$0xf4 ]],
  function(vm, say) vm:on_exit("port 0x50", function(e) saved = e say(e:default()) end) end,
  { devices = { vmscope.device{ ports = 0x50, read = function() return saved:default() and 1 end } } })
case("close in handler", asm[[ inb $0x50,%al; movb $0,%al; outb %al,$0xf4 ]], function(vm) vm:on_exit("port 0x50", function(e) vm:close() end) end)
case("ins", asm[[ movw $0x50,%dx; movw $0x9000,%di; movw $3,%cx; rep insb; movb 0x9002,%al; outb %al,$0xe9; movb $0,%al; outb %al,$0xf4 ]], function(vm, say) vm:on_exit("port 0x50", function(e) say(e:default()) end) end, { devices = { vmscope.device{ ports = 0x50, read = function(o,s,vm) return 0x61 end } } })
case("pit", asm[[ movb $5,%al; outb %al,$0x40; inb $0x40,%al; outb %al,$0xe9; movb $0,%al; outb %al,$0xf4 ]], function() end, { devices = { vmscope.device{ ports = {0x40,0x43}, read = function() return 0x71 end } } })
case("reset", asm[[ movb $0xfe,%al; inb $0x50,%al; cmpb $2,%al; je 1f; outb %al,$0x64; movb $0xfe,%al; outb %al,$0x64; hlt; 1: movb $0,%al; outb %al,$0xf4 ]], function() end, { max_exits = 60, devices = { vmscope.device{ ports = 0x50, read = function() return 1 end } } })
case("wide", asm[[ movw $0x50,%dx; inl %dx,%eax; outb %al,$0xe9; shrl $8,%eax; outb %al,$0xe9; movb $0,%al; outb %al,$0xf4 ]], function() end, { devices = { vmscope.device{ ports = {0x50,0x51}, read = function(o,s) return 0x6261 + o end } } })
case("again", asm[[ xorl %eax,%eax; cpuid; nop; movb $0,%al; outb %al,$0xf4 ]], function(vm, say) vm:on_exit("CPUID", function(e, cpu) say(e:default()) cpu.rip = cpu.rip + 2 cpu.ecx = 5 return "again" end) end)
local function run(t, mode, type)
  local log = {}
  local function say(s) log[#log+1] = s end
  local opt = { image = t[2], mode = mode, type = type, max_exits = t[4].max_exits or 1000, devices = t[4].devices }
  local ok, why = pcall(function()
    local vm = vmscope.vm(opt)
    t[3](vm, say)
    local ok, w = pcall(vm.run, vm)
    say(tostring(ok) .. " " .. tostring(w))
    local k, e = pcall(function() return vm.ended.kind .. " " .. vm.ended.code .. " " .. vm.ended.detail .. "|" .. vm.console .. "|" .. vm.exits end)
    say(tostring(e))
    for _, at in ipairs(t[4].see or {}) do say(tostring(vm.mem[at])) end
    pcall(vm.close, vm)
  end)
  return table.concat(log, " / ") .. (ok and "" or why)
end
for i, t in ipairs(T) do
  local want = run(t, "emulate", 2)
  print(i, t[1], want)
  for _, m in ipairs{ "emulate", "virtualize" } do
    local got = run(t, m, 1)
    if got ~= want and not got:find("vmscope.vm: ") then print("   DIFFERS\t" .. m, got) end
  end
end
LUA
run_status "the cases" 0 "$VMSCOPE" lab run "$work/cases.lua"
cases=$(grep -c '^[0-9]' "$work/out")
is "emulate, type II, does all of them" 16 "$cases"
is "a result of each kind" 1 "$(grep -c 'oops.*a handler of the script failed' "$work/out")"
for mode in emulate virtualize; do
	if "$VMSCOPE" run hello --mode "$mode" --type 1 >/dev/null 2>"$work/reason"; then
		is "$mode, type I: as type II" "" "$(grep "DIFFERS	$mode" "$work/out")"
	else
		skip "$mode, type I" "$(head -1 "$work/reason")"
	fi
done
finish
