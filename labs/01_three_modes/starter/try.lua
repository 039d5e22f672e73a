-- The guest teller and your model of it, exit by exit: vmscope lab run try.lua. Not handed in: change it as you like.
local N, TEXT = 3, "abc"
local code = vmscope.asm[[
        cli
        xorw %ax, %ax
        movw %ax, %ds
        movzwl 0x8000, %esi
1:      movl %esi, %eax
        xorl %ecx, %ecx
        cpuid
        decl %esi
        jnz 1b
        movw $0x8010, %si
2:      lodsb
        testb %al, %al
        jz 4f
        movb %al, %bl
        movw $0x3fd, %dx
3:      inb %dx, %al
        testb $0x20, %al
        jz 3b
        movw $0x3f8, %dx
        movb %bl, %al
        outb %al, %dx
        jmp 2b
4:      movw $0x3ff, %dx
        movb 0x8000, %al
        outb %al, %dx
        inb %dx, %al
        movb $0, %al
        outb %al, $0xf4
]]
local guest = vmscope.vm{ image = code }
guest.mem:u16(0x8000, N)
guest.mem:write(0x8010, TEXT .. "\0")
guest:run()
local model = vmscope.vm{ image = code, mode = "simulate", model_text = include("model"), max_exits = 1000,
  append = ("n=%d text=%s"):format(N, TEXT) }
model:run()

local function show(exit)
  if not exit then return "-" end
  if exit.reason ~= "IO_INSTRUCTION" then return ("%s %d"):format(exit.reason, exit.reason == "CPUID" and exit.leaf or 0) end
  return ("%s %#x: %#x"):format(exit.write and "out" or "in", exit.port, exit.value)
end
for i = 1, math.max(#guest.trace, #model.trace) do
  local a, b = show(guest.trace[i]), show(model.trace[i])
  print(i, a, b, a == b and "" or "<-- differ")
end
print("instructions", guest.insns, model.insns)
print("console", guest.console, model.console)
