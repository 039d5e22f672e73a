-- vmscope lab run device.lua period=5000 asleep=3 awake=2 [work=N] [second=US more=N] [sleep_off=1]: a guest for your
-- timer, as "lab check" runs it, and what it sees. Not handed in.

-- A guest for the submission's device: sets the period, collects ticks, asleep (args.asleep interrupts) and then awake
-- (args.awake), adds up what it reads, switches the timer off, and ends; or (args.second) takes another period and
-- sleeps for args.more interrupts. Each interrupt writes its count of ticks to port 0x510; what is left at the end goes
-- to port 0x512.
local function device_guest(a)
  return ([[
        cli
        movw $isr, 4 * 37
        movw $0, 4 * 37 + 2
        movb $0x11, %%al
        outb %%al, $0x20
        movb $32, %%al
        outb %%al, $0x21
        movb $4, %%al
        outb %%al, $0x21
        movb $1, %%al
        outb %%al, $0x21
        movb $0xdf, %%al
        outb %%al, $0x21
        xorw %%cx, %%cx         # interrupts
        xorl %%esi, %%esi       # ticks
        movw $%d, %%ax          # the period, in microseconds
        movw $0x500, %%dx
        outw %%ax, %%dx
        movw $%d, %%bx
        orw %%bx, %%bx
        jz 2f
1:      sti
        hlt
        cli
        cmpw %%bx, %%cx
        jb 1b
2:      addw $%d, %%bx
        sti
3:      cmpw %%bx, %%cx
        jb 3b
        cli
        movl $%d, %%edi         # work with interrupts off
        orl %%edi, %%edi
        jz 5f
4:      decl %%edi
        jnz 4b
5:      sti
        nop
        nop
        cli
        movw $%d, %%ax          # off, or another period
        movw $0x500, %%dx
        outw %%ax, %%dx
        movw $0x502, %%dx
        inw %%dx, %%ax          # what is left
        movw $0x512, %%dx
        outw %%ax, %%dx
        movw $%d, %%bx
        addw %%cx, %%bx
6:      cmpw %%bx, %%cx
        jae 7f
        sti
        hlt
        cli
        jmp 6b
7:      %s
        movb $0, %%al
        outb %%al, $0xf4
isr:    pushw %%ax
        pushw %%dx
        movw $0x502, %%dx
        inw %%dx, %%ax
        movw $0x510, %%dx
        outw %%ax, %%dx
        movzwl %%ax, %%eax
        addl %%eax, %%esi
        incw %%cx
        movb $0x20, %%al
        outb %%al, $0x20
        popw %%dx
        popw %%ax
        iret
  ]]):format(a.period, a.asleep, a.awake, a.work or 0, a.second or 0, a.more or 0, a.sleep_off and "sti\nhlt" or "")
end

local args = { period = 5000, asleep = 3, awake = 2 }
for _, a in ipairs(arg) do
  local key, value = a:match("^([%a_]+)=(%d+)$")
  if not key then error("an argument is NAME=NUMBER, not " .. a, 0) end
  args[key] = math.tointeger(value)
end

local timer = include("timer")()
local vm = vmscope.vm{ image = vmscope.asm(device_guest(args)), devices = { timer.device }, max_exits = 20000,
  max_insns = 100000000 }
timer.attach(vm)
print("the guest: " .. vm:run(), vm.ended and vm.ended.detail or "")
for i = 1, math.min(#vm.trace, 200) do
  local e = vm.trace[i]
  local text = ("%12.3f us  %s"):format(e.time_ns / 1000, e.reason)
  if e.port == 0x500 then text = text .. "  the guest sets the period to " .. e.value end
  if e.port == 0x502 then text = text .. "  the guest reads: ticks " .. e.value end
  if e.port == 0x512 then text = text .. "  left at the end: ticks " .. e.value end
  if e.injected then text = text .. "  then vector " .. e.injected .. " is injected" end
  print(text)
end
