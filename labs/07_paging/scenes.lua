-- What lab 07 runs: the guest "paging", guests that go through their pages in patterns, and the submission's shadow
-- paging beside an MMU that sees nothing but the shadow.

-- A guest in protected mode with 32-bit paging. Its directory is at 0x20000; 0x400000 on are 64 pages that it maps
-- when it touches them (page fault), to frames from 0x100000 on.
local START = [[
        cli
        lgdtl gdtr
        movl %cr0, %eax
        orl $1, %eax
        movl %eax, %cr0
        ljmpl $8, $pm
        .align 8
gdt:    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:   .word 23
        .long gdt
        .code32
pm:     movw $16, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        movl $0x80000, %esp
        movl $0x20000, %edi
        xorl %eax, %eax
        movl $0x4000, %ecx
        cld
        rep stosl
        movl $0x21007, 0x20000
        movl $0x22007, 0x20004
        movl $7, %eax
        movl $0x21000, %edi
1:      movl %eax, (%edi)
        addl $0x1000, %eax
        addl $4, %edi
        cmpl $0x22000, %edi
        jb 1b
        movl $fault, %eax
        movw %ax, 0x30000 + 14 * 8
        movw $8, 0x30000 + 14 * 8 + 2
        movw $0x8e00, 0x30000 + 14 * 8 + 4
        shrl $16, %eax
        movw %ax, 0x30000 + 14 * 8 + 6
        lidt idtr
        movl $0x20000, %eax
        movl %eax, %cr3
        movl %cr0, %eax
        orl $0x80010000, %eax
        movl %eax, %cr0
        jmp body
idtr:   .word 0x7ff
        .long 0x30000
fault:  pushl %eax
        pushl %ebx
        movl %cr2, %ebx
        movl %ebx, %eax
        shrl $12, %ebx
        andl $0x3ff, %ebx
        testl $1, 8(%esp)
        jnz 2f
        subl $0x300000, %eax            /* 0x400000 + i pages: frame 0x100000 + i pages */
        andl $0xfffff000, %eax
        orl $7, %eax
        movl %eax, 0x22000(, %ebx, 4)
        jmp 3f
2:      orl $2, 0x22000(, %ebx, 4)
        invlpg (%eax)
3:      popl %ebx
        popl %eax
        addl $4, %esp
        iretl
body:
]]

local STEP = {
  touch = [[
        movl $0x400000 + 4096 * %d, %%edi
        movl $%d, %%ecx
1:      movl %%ecx, (%%edi)
        addl $4096, %%edi
        loop 1b
  ]],
  read = [[
        movl $0x400000 + 4096 * %d, %%edi
        movl $%d, %%ecx
1:      movl (%%edi), %%eax
        addl $4096, %%edi
        loop 1b
  ]],
  unmap = [[
        movl $%d, %%ebx
        movl $%d, %%ecx
1:      movl $0, 0x22000(, %%ebx, 4)
        movl %%ebx, %%edi
        shll $12, %%edi
        invlpg 0x400000(%%edi)
        incl %%ebx
        loop 1b
  ]],
  protect = [[
        movl $%d, %%ebx
        movl $%d, %%ecx
1:      andl $0xfffffffd, 0x22000(, %%ebx, 4)
        movl %%ebx, %%edi
        shll $12, %%edi
        invlpg 0x400000(%%edi)
        incl %%ebx
        loop 1b
  ]],
  switch = [[
        movl $%d, %%ecx
        movl $%d, %%ecx
        movl %%cr3, %%eax
1:      movl %%eax, %%cr3
        loop 1b
  ]],
}

local function pattern_guest(steps)
  local text = { START }
  for _, step in ipairs(steps) do
    text[#text + 1] = STEP[step.op]:format(step.first or 0, step.n)
  end
  text[#text + 1] = "movb $0, %al\noutb %al, $0xf4\n"
  return vmscope.asm(table.concat(text))
end

-- No file of this lab needs vmscope's functions.
local function given(s, file, name) return s:load_function(file, {}, name) end

-- Plain data of what the submission gave: a number, or nil.
local function number(v)
  if type(v) == "number" and v == v and math.abs(v) ~= math.huge then return v end
end

local scenes = {}

-- args: profile, pages, switches
function scenes.paging(s, args)
  local vm = vmscope.vm{ guest = "paging", controls = args.profile,
    append = ("pages=%d switches=%d"):format(args.pages, args.switches) }
  vm:run()
  return { vm = s:observe(vm) }
end

-- args: profile, steps
function scenes.pattern(s, args)
  local vm = vmscope.vm{ image = pattern_guest(args.steps), controls = args.profile }
  vm:run()
  return { vm = s:observe(vm) }
end

-- What the submission says about them.
function scenes.predict(s, args)
  local said
  if args.steps then
    said = s:call(given(s, "predict.lua", "pattern"), args.profile, args.steps)
  else
    said = s:call(given(s, "predict.lua", "paging"), args.profile, args.pages, args.switches)
  end
  if type(said) ~= "table" then return { said = {} } end
  return { said = { EXCEPTION_NMI = number(said.EXCEPTION_NMI), INVLPG = number(said.INVLPG),
    CR_ACCESS = number(said.CR_ACCESS) } }
end

-- The submission's exit handlers beside a guest. args: steps
function scenes.watch(s, args)
  local vm = vmscope.vm{ image = pattern_guest(args.steps), controls = "vtx-shadow" }
  local counts = s:call(given(s, "watch.lua"), vm)
  s:call(vm.run, vm)
  if type(counts) ~= "table" then counts = {} end
  return { vm = s:observe(vm), counts = { absent = number(counts.absent), protection = number(counts.protection),
    invlpg = number(counts.invlpg), cr3 = number(counts.cr3) } }
end

-- --- shadow paging ---

local FRAMES, HOST = 1024, 0x5000 -- the guest has 4 MiB, which begin at this frame of the host
local P, W, U, A, D = 1, 2, 4, 0x20, 0x40

-- The processor as the guest believes it to be: walks the guest's tables (memory: words by address). Gives "at",
-- address; "fault", error code; or "device", address. Sets A and D.
local function walk(memory, cr3, access)
  local function entry(at) return memory[at] or 0 end
  local code = (access.write and W or 0) | (access.user and U or 0)
  local pde_at = cr3 + 4 * (access.address >> 22)
  local pde = entry(pde_at)
  if pde & P == 0 then return "fault", code end
  local pte_at = (pde & 0xfffff000) + 4 * (access.address >> 12 & 0x3ff)
  local pte = entry(pte_at)
  if pte & P == 0 then return "fault", code end
  if access.write and pde & pte & W == 0 or access.user and pde & pte & U == 0 then return "fault", code | P end
  memory[pde_at], memory[pte_at] = pde | A, pte | A | (access.write and D or 0)
  local address = pte & 0xfffff000 | access.address & 0xfff
  return address >> 12 < FRAMES and "at" or "device", address
end

-- The MMU of the host. It has the shadow table, and nothing else.
local function mmu()
  local map, stat = {}, { sets = 0, foreign = 0, drops = 0 }
  local hw = { base = HOST, frames = FRAMES }
  function hw:set(page, frame, writable, user)
    if math.type(page) ~= "integer" or math.type(frame) ~= "integer" then
      error("hw:set(page, frame, writable, user): page and frame are whole numbers", 2)
    end
    stat.sets = stat.sets + 1
    if frame < HOST or frame >= HOST + FRAMES then stat.foreign = stat.foreign + 1 end
    map[page] = { frame = frame, writable = writable, user = user }
  end
  function hw:drop(page)
    if math.type(page) ~= "integer" then error("hw:drop(page): page is a whole number", 2) end
    map[page], stat.drops = nil, stat.drops + 1
  end
  function hw:drop_all() map, stat.drops = {}, stat.drops + 1 end
  local function reach(access)
    local e = map[access.address >> 12]
    if e and (e.writable or not access.write) and (e.user or not access.user) then
      return (e.frame - HOST) << 12 | access.address & 0xfff
    end
  end
  return hw, stat, reach
end

local DIRS = { 0x10000, 0x11000 } -- two address spaces; tables from 0x12000 on

-- What the guest does, drawn from the seed. level "static": the tables stay; "dynamic": they change.
local function life(random, level)
  local memory, ops = {}, {}
  local tables, pages = {}, {}
  for d = 1, 2 do
    for _ = 1, 3 do
      local index = random(0, 1023)
      local table_at = 0x12000 + 0x1000 * random(0, 4)
      memory[DIRS[d] + 4 * index] = table_at | P | (random(1, 5) > 1 and W or 0) | (random(1, 5) > 1 and U or 0)
      if random(1, 8) == 1 then memory[DIRS[d] + 4 * index] = table_at end
      tables[#tables + 1] = { dir = d, index = index, at = table_at }
    end
  end
  local function draw_pte()
    local frame = random(0x100, FRAMES - 1)
    if random(1, 4) == 1 then frame = ({ FRAMES - 1, FRAMES, random(FRAMES, 0xfffff) })[random(1, 3)] end
    return frame << 12 | (random(1, 7) > 1 and P or 0) | (random(1, 4) > 1 and W or 0) | (random(1, 4) > 1 and U or 0)
  end
  for _, t in ipairs(tables) do
    for _ = 1, level == "static" and t.dir == 2 and 0 or 4 do
      local i = random(0, 1023)
      pages[#pages + 1] = { at = t.at + 4 * i, address = t.index << 22 | i << 12 }
      memory[t.at + 4 * i] = memory[t.at + 4 * i] or draw_pte()
    end
  end
  local function access()
    local page = pages[random(1, #pages)]
    local address = random(1, 15) == 1 and random(0, 0xffffffff) or page.address | random(0, 0xfff)
    ops[#ops + 1] = { op = "access", address = address, write = random(1, 2) == 1, user = random(1, 2) == 1 }
  end
  for i = 1, level == "static" and 60 or 250 do
    local kind = level == "static" and 9 or random(1, 9)
    local page = pages[random(1, #pages)]
    if kind == 1 then -- another mapping, or none
      ops[#ops + 1] = { op = "store", at = page.at, value = draw_pte(), address = page.address }
    elseif kind == 2 then -- the same mapping, as if never used
      local bits = random(1, 2) == 1 and A | D or W
      ops[#ops + 1] = { op = "mask", at = page.at, mask = 0xffffffff ~ bits, address = page.address }
    elseif kind == 3 then -- more is allowed: no INVLPG is needed
      ops[#ops + 1] = { op = "allow", at = page.at }
    elseif kind == 5 and i % 5 == 0 then -- a page that is written, and then may not be written any more
      local value = random(0x100, FRAMES - 1) << 12 | P | W
      ops[#ops + 1] = { op = "store", at = page.at, value = value, address = page.address }
      for _, write in ipairs{ false, true } do
        ops[#ops + 1] = { op = "access", address = page.address, write = write, user = false }
      end
      ops[#ops + 1] = { op = "mask", at = page.at, mask = 0xffffffff ~ W, address = page.address }
      for _, write in ipairs{ false, true } do
        ops[#ops + 1] = { op = "access", address = page.address, write = write, user = false }
      end
    elseif kind == 4 and i % 3 == 0 then
      ops[#ops + 1] = { op = "cr3", value = DIRS[random(1, 2)] }
    else
      access()
      if random(1, 2) == 1 then
        local last = ops[#ops]
        ops[#ops + 1] = { op = "access", address = last.address, write = random(1, 2) == 1, user = last.user }
      end
    end
  end
  return memory, ops
end

-- A guest whose processor is in 32-bit paging mode and whose memory holds the tables.
local function paged_vm(memory)
  local vm = vmscope.vm{ guest = "hello" }
  vm:run{ max_insns = 1 }
  local cpu = vm.cpu[1]
  cpu.efer, cpu.cr0, cpu.cr4, cpu.cr3 = 0, 0x11, 0, DIRS[1]
  cpu.cr0 = 0x80010011
  for at, word in pairs(memory) do vm.mem:u32(at, word) end
  return vm, cpu
end

-- What the submission's shadow paging gets of its VM: memory, and registers to be read. The walk is its own.
local function memory_and_cpu(vm)
  local mem, cpu = vm.mem, vm.cpu[1]
  local methods = {}
  for _, name in ipairs{ "u8", "u16", "u32", "u64", "read", "write" } do
    methods[name] = function(_, ...) return mem[name](mem, ...) end
  end
  return {
    mem = setmetatable({}, { __metatable = false,
      __index = function(_, key) return methods[key] or mem[key] end,
      __newindex = function(_, address, byte) mem[address] = byte end }),
    cpu = { setmetatable({}, { __metatable = false, __index = function(_, name) return cpu[name] end,
      __newindex = function(_, name) error(("register %s is the guest's: it can be read"):format(name), 2) end }) },
  }
end

-- What fault() may answer, beside "fill", and what a processor calls it.
local ANSWERS = { reflect = "fault", emulate = "device" }

local function show(access)
  local who = access.user and "user" or "supervisor"
  return ("%s of %#x by %s"):format(access.write and "write" or "read", access.address, who)
end

-- What an access came to: the submission's answer, or where its shadow led.
local function came_to(got, value)
  if value == nil and got:find("^the answer") then return got end
  if got ~= "at" then
    return got .. " " .. (math.type(value) == "integer" and ("%#x"):format(value) or tostring(value))
  end
  if value == nil then return "no entry of the shadow that allows it" end
  if value >= 0 and value >> 12 < FRAMES then return ("at %#x"):format(value) end
  return ("host frame %#x, which is not the guest's"):format((value >> 12) + HOST & 0xffffffff)
end

-- The submission's shadow.
local function shadow_of(s, make, vm, hw)
  local shadow = s:call(make, memory_and_cpu(vm), hw)
  s:call(function()
    for _, name in ipairs{ "fault", "invlpg", "cr3" } do
      if type(shadow) ~= "table" or type(shadow[name]) ~= "function" then
        error("shadow.lua: what the function returns has no method " .. name, 0)
      end
    end
  end)
  return shadow
end

-- The same, with the guest's entries for the address.
local function show_with_entries(memory, cr3, access)
  local pde = memory[cr3 + 4 * (access.address >> 22)] or 0
  local pte = pde & P ~= 0 and memory[(pde & 0xfffff000) + 4 * (access.address >> 12 & 0x3ff)] or 0
  return ("%s (directory: %#x, table: %#x)"):format(show(access), pde, pte)
end

-- The guest's life under the submission's shadow paging, beside its life on a processor. args: seed, level
function scenes.shadow(s, args)
  local memory, ops = life(vmscope.random(args.seed), args.level)
  local vm, cpu = paged_vm(memory)
  local cr3 = DIRS[1] -- the guest's, whatever the submission does to its registers
  local hw, stat, reach = mmu()
  local shadow = shadow_of(s, given(s, "shadow.lua"), vm, hw)
  local r = { accesses = 0, right = 0, faults = 0, first = "none", tables = "none", fills = 0, hits = 0 }

  local function one(access)
    local what = show_with_entries(memory, cr3, access)
    local want, value = walk(memory, cr3, access)
    local got, seen = "at", reach(access)
    if seen then r.hits = r.hits + 1 end
    for _ = 1, 2 do
      if seen then break end
      local said, with = s:call(shadow.fault, shadow,
        { address = access.address, write = access.write, user = access.user })
      if said ~= "fill" then -- where RAM is reached the MMU alone says, by the shadow
        got, seen = ANSWERS[said] or "the answer " .. tostring(said), with
        break
      end
      r.fills = r.fills + 1
      seen = reach(access)
    end
    r.accesses = r.accesses + 1
    if got == want and seen == value then
      r.right = r.right + 1
    elseif r.first == "none" then
      r.first = ("%s: %s %#x, and it came to: %s"):format(what, want, value, came_to(got, seen))
    end
  end

  local function drop(address) s:call(shadow.invlpg, shadow, address) end
  local function store(at, value)
    memory[at] = value
    vm.mem:u32(at, value)
  end

  for _, op in ipairs(ops) do
    if op.op == "access" then
      one(op)
    elseif op.op == "store" or op.op == "mask" then
      store(op.at, op.value or (memory[op.at] or 0) & op.mask)
      -- The entry may serve other addresses too (tables are shared): a system drops what it changed, everywhere.
      for d = 1, 2 do
        for index = 0, 1023 do
          local pde = memory[DIRS[d] + 4 * index] or 0
          if pde & 0xfffff000 == op.at & 0xfffff000 and pde ~= 0 then drop(index << 22 | (op.at & 0xffc) << 10) end
        end
      end
    elseif op.op == "allow" then
      local pte = memory[op.at] or 0
      if pte & P ~= 0 then store(op.at, pte | W | U) end
    else
      cr3, cpu.cr3 = op.value, op.value
      s:call(shadow.cr3, shadow)
    end
    for at, word in pairs(memory) do
      if vm.mem:u32(at) ~= word and r.tables == "none" then
        r.tables = ("the entry at %#x after %s: %#x on a processor, %#x here"):format(at,
          op.op == "access" and show(op) or op.op, word, vm.mem:u32(at))
      end
    end
  end
  r.sets, r.drops, r.foreign = stat.sets, stat.drops, stat.foreign
  return r
end

-- One fault after the other with an empty shadow: what is decided. By what is right: how many, how many were decided
-- so, and the first that was not. args: seed
function scenes.decide(s, args)
  local memory, ops = life(vmscope.random(args.seed), "static")
  local vm = paged_vm(memory)
  local make = given(s, "shadow.lua")
  local names = { at = "fill", fault = "reflect", device = "emulate" }
  local r = {}
  for _, name in pairs(names) do r[name] = { all = 0, right = 0, first = "none" } end
  for _, op in ipairs(ops) do
    local hw, _, reach = mmu()
    local what = show_with_entries(memory, DIRS[1], op)
    local want, value = walk(memory, DIRS[1], op)
    local shadow = shadow_of(s, make, vm, hw)
    local got, seen = s:call(shadow.fault, shadow, { address = op.address, write = op.write, user = op.user })
    if got == "fill" then seen = reach(op) end
    local class = r[names[want]]
    class.all = class.all + 1
    if got == names[want] and seen == value then
      class.right = class.right + 1
    elseif class.first == "none" then
      class.first = ("%s: %s"):format(what, tostring(got))
      if got == names[want] then
        class.first = ("%s, and it came to: %s, not %#x"):format(class.first, came_to(want, seen), value)
      end
    end
  end
  return r
end

return scenes
