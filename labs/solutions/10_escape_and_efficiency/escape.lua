-- Real mode; exceptions 1, 6 and 13 go to "caught".
local CATCH = [[
        cli
        xorw %ax, %ax
        movw %ax, %ds
        movw %ax, %ss
        movw $0x7c00, %sp
        movw $caught, 4 * 1
        movw %ax, 4 * 1 + 2
        movw $caught, 4 * 13
        movw %ax, 4 * 13 + 2
]]
local CAUGHT = [[
caught: movb $0, %al
        outb %al, $0xf4
]]

local ways = {}

function ways.port(x)
  return { held_by = "controls", text = CATCH .. ([[
        movw $%d, %%dx
        inb %%dx, %%al
        outb %%al, %%dx
  ]]):format(x.port) .. CAUGHT }
end

function ways.msr(x)
  return { held_by = "controls", text = CATCH .. ([[
        movl $%d, %%ecx
        xorl %%eax, %%eax
        xorl %%edx, %%edx
        wrmsr
        hlt
  ]]):format(x.msr) .. CAUGHT }
end

-- A flat data segment, loaded in protected mode, stays loaded back in real mode.
function ways.memory(x)
  return { held_by = "mapping", text = CATCH .. ([[
        lgdtl gdtr
        movl %%cr0, %%eax
        orb $1, %%al
        movl %%eax, %%cr0
        movw $8, %%bx
        movw %%bx, %%ds
        andb $0xfe, %%al
        movl %%eax, %%cr0
        movl $%d, %%ebx
        movl %%eax, (%%ebx)
  ]]):format(x.address) .. CAUGHT .. [[
        .align 8
gdt:    .quad 0, 0x00cf92000000ffff
gdtr:   .word 15
        .long gdt
  ]] }
end

function ways.triple()
  return { held_by = "controls", text = [[
        lidtl none
        int3
none:   .word 0
        .long 0
  ]] }
end

function ways.loop()
  return { held_by = "interval", text = "cli\n1: jmp 1b\n" }
end

-- The OUT is put together from its two halves.
function ways.selfmod(x)
  return { held_by = "mapping", text = CATCH .. ([[
        movw $%d, %%dx
        movb $%d, %%al
        movb $0x77, here
        xorb $0x99, here        # 0x77 ^ 0x99: OUT AL, DX
        jmp here
here:   nop
  ]]):format(x.port, x.byte) .. CAUGHT }
end

function ways.debug()
  return { held_by = "controls", text = CATCH .. [[
        movl $here, %eax
        movl %eax, %dr0
        movl $1, %eax
        movl %eax, %dr7
here:   nop
        hlt
  ]] .. CAUGHT }
end

return ways
