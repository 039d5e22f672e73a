-- What lab 08 runs: a guest that waits for ticks, a guest for the submission's timer, and the submission's own guest.

-- A guest that waits for ticks of the PIT. p.hz, p.ticks; p.wait: "hlt" (asleep), "loop" (awake, interrupts on) or
-- "masked" (awake, interrupts off but for one instruction in a thousand); p.shot: "periodic" or "one" (armed anew for
-- each tick); p.eoi: "out" or "auto" (the PIC needs none).
local function tick_guest(p)
  local count = 1193182 // p.hz
  local arm = ("movb $%d, %%al\noutb %%al, $0x40\nmovb $%d, %%al\noutb %%al, $0x40\n"):format(count & 0xff, count >> 8)
  local one = p.shot == "one"
  local wait = {
    hlt = "1: sti\nhlt\ncli\n",
    loop = "1: sti\n2: cmpw %bx, %cx\nje 2b\ncli\n",
    masked = "1: cli\nmovw $500, %di\n2: decw %di\njnz 2b\nsti\nnop\ncli\ncmpw %bx, %cx\nje 1b\n",
  }
  return [[
        cli
        movw $isr, 4 * 32
        movw $0, 4 * 32 + 2
        movb $0x11, %al         # the PIC: vectors from 32, IRQ 0 alone
        outb %al, $0x20
        movb $32, %al
        outb %al, $0x21
        movb $4, %al
        outb %al, $0x21
  ]] .. ("movb $%d, %%al"):format(p.eoi == "auto" and 3 or 1) .. [[

        outb %al, $0x21
        movb $0xfe, %al
        outb %al, $0x21
  ]] .. ("movb $%d, %%al\noutb %%al, $0x43\n"):format(one and 0x30 or 0x34) .. (one and "" or arm) .. [[

        xorw %cx, %cx           # ticks
next:   movw %cx, %bx
  ]] .. (one and arm or "") .. wait[p.wait] .. ("cmpw $%d, %%cx\njb next\n"):format(p.ticks) .. [[
        movb $0, %al
        outb %al, $0xf4
isr:    incw %cx
  ]] .. (p.eoi == "auto" and "" or "pushw %ax\nmovb $0x20, %al\noutb %al, $0x20\npopw %ax\n") .. [[
        iret
  ]]
end

-- Prices and guests are written, not measured: of vmscope there is what a device needs.
local function given(s, file, name)
  return s:load_function(file, file == "timer.lua" and { "device" } or {}, name)
end

-- Plain data of what the submission gave: a number, or nil.
local function number(v)
  if type(v) == "number" and v == v and math.abs(v) ~= math.huge then return v end
end

local scenes = {}

-- args: list, of p
function scenes.tick(s, args)
  local result = {}
  for i, p in ipairs(args.list) do
    local vm = vmscope.vm{ image = vmscope.asm(tick_guest(p)) }
    vm:run()
    result[i] = s:observe(vm)
    vm:close()
  end
  return result
end

-- What the submission says about them.
function scenes.price(s, args)
  local exits, per_second, result = given(s, "price.lua", "exits"), given(s, "price.lua", "per_second"), {}
  for i, p in ipairs(args.list) do
    local said = s:call(exits, p)
    result[i] = { exits = {}, per_second = number(s:call(per_second, p)) }
    for _, reason in ipairs{ "HLT", "PREEMPTION_TIMER", "INTERRUPT_WINDOW", "IO_INSTRUCTION" } do
      if type(said) == "table" then result[i].exits[reason] = number(said[reason]) end
    end
  end
  return result
end

-- The bundled guest.
function scenes.timer(s)
  local vm = vmscope.vm{ guest = "timer" }
  vm:run()
  return { vm = s:observe(vm) }
end

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

-- args: period, asleep, awake, work, second, more, sleep_off
function scenes.device(s, args)
  local timer = s:call(given(s, "timer.lua"))
  s:call(function()
    if type(timer) ~= "table" or type(timer.attach) ~= "function" or not timer.device then
      error("timer.lua: the function has to return { device = ..., attach = ... }", 0)
    end
  end)
  local image = vmscope.asm(device_guest(args))
  local vm = s:call(vmscope.vm, { image = image, devices = { timer.device }, max_exits = 20000, max_insns = 100000000 })
  s:call(timer.attach, vm)
  s:call(vm.run, vm)
  local r = { vm = s:observe(vm), counts = {} }
  for _, e in ipairs(vm.trace:filter('exit_reason == "IO_INSTRUCTION"')) do
    if e.port == 0x510 then r.counts[#r.counts + 1] = e.value end
    if e.port == 0x512 then r.left = e.value end
  end
  r.list = table.concat(r.counts, " ")
  r.ticks = vm.cpu[1].esi
  local injected = 0
  for i = 1, #vm.trace do
    if vm.trace[i].injected == 37 then injected = injected + 1 end
  end
  r.injected = injected
  return r
end

-- The submission's guest: a mark on the UART each args.ms milliseconds, args.marks times.
function scenes.tickless(s, args)
  local text = s:call(given(s, "guest.lua"), args.ms, args.marks)
  s:call(function()
    if type(text) ~= "string" then error("guest.lua: the function has to return a text", 0) end
  end)
  local vm = s:call(vmscope.vm, { image = s:call(vmscope.asm, text), max_exits = 200000, max_insns = 50000000 })
  vm:run()
  local r = { vm = s:observe(vm), worst_us = nil, marks = 0 }
  for _, e in ipairs(vm.trace:filter('exit_reason == "IO_INSTRUCTION"')) do
    if e.port == 0x3f8 and e.write then
      r.marks = r.marks + 1
      local off = math.abs(e.time_ns - r.marks * args.ms * 1000000) // 1000
      r.worst_us = math.max(r.worst_us or 0, off)
    end
  end
  return r
end

return scenes
