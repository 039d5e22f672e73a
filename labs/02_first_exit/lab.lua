-- Lab 02: the first exit. Qualifications are composed here from their fields as the manual has them; everything else is
-- held against the machine's own records.
local IO = { "port", "size", "write", "string", "rep", "imm" }

local function io(f)
  local qual = f.size - 1 | (f.write and 0 or 8) | (f.string and 16 or 0) | (f.rep and 32 or 0) | (f.imm and 64 or 0)
    | f.port << 16
  local text = {}
  for i, key in ipairs(IO) do
    local v = f[key]
    text[i] = key .. "=" .. (type(v) == "number" and ("%#x"):format(v) or tostring(v))
  end
  return { qual = qual, keys = IO, text = table.concat(text, " ") }
end

local function cr(access, f)
  if access == "clts" then return { qual = 0x20, keys = { "access" }, text = "access=clts" } end
  if access == "lmsw" then
    return { qual = 0x30 | (f.memory and 64 or 0) | f.source << 16, keys = { "access", "source", "memory" },
      text = ("access=lmsw source=%#x memory=%s"):format(f.source, f.memory) }
  end
  return { qual = f.cr | (access == "mov_from" and 16 or 0) | f.gpr << 8, keys = { "access", "cr", "gpr" },
    text = ("access=%s cr=%#x gpr=%#x"):format(access, f.cr, f.gpr) }
end

-- What a function gave; nil when that was nothing.
local function given(text)
  return text ~= "nil" and text or nil
end

local function decode(t, what, list)
  local values = {}
  for i, v in ipairs(list) do values[i] = { v.qual, v.keys } end
  local r = t:run("decode", { what = what, values = values })
  for i, v in ipairs(list) do t:equal(("%s(%#x)"):format(what, v.qual), given(r.texts[i]), v.text) end
end

-- All of a list in one line: the first that is wrong, or the last.
local function decode_all(t, what, list)
  local values = {}
  for i, v in ipairs(list) do values[i] = { v.qual, v.keys } end
  local r = t:run("decode", { what = what, values = values })
  for i, v in ipairs(list) do
    if r.texts[i] ~= v.text or i == #list then
      t:equal(("%s(%#x)"):format(what, v.qual), given(r.texts[i]), v.text)
      return
    end
  end
end

local function walk(t, what, args)
  local r = t:run("walk", args)
  for i, a in ipairs(r.addresses) do
    if a.said ~= a.is or i == #r.addresses then
      t:equal(("%s: walk(%s)"):format(what, a.address), a.said, a.is)
      return
    end
  end
end

local function follow(t, guest, append, reason)
  local r = t:run("follow", { guest = guest, append = append, reason = reason })
  t:equal(("follow: %s, %s"):format(guest, reason), given(r.said), r.is)
end

-- The log of both is the same where the guest used another port; where it used the latch, it is computed here.
local function latch(t, what, port, steps)
  local mine = t:run("latch", { mine = true, port = port, steps = steps })
  local other = t:run("latch", { port = port, steps = steps })
  local value = 0
  for i, step in ipairs(steps) do
    local size, is_in = step[1] & 7, step[1] >= 8
    local mask = (1 << 8 * size) - 1
    local expected = other.log[i]
    if step[2] == port and is_in then
      local before = size == 4 and 0 or step[3]
      expected = ("%#x"):format(before & ~mask | value & mask)
    elseif step[2] == port then
      value = value & ~mask | step[3] & mask
    end
    if mine.log[i] ~= expected then
      t:equal(what .. ": EAX after step " .. i, mine.log[i], expected,
        ("%s of %d bytes, port %#x, EAX %#x before"):format(is_in and "IN" or "OUT", size, step[2], step[3]))
      return
    end
  end
  t:equal(what .. ": how the guest ended", mine.ended, "debug_exit")
end

local function random_steps(t, port, n)
  local steps = {}
  local kinds = { 1, 2, 4, 9, 10, 12 }
  local ports = { port, port, port, port + 1, port - 1, port + 0x100 }
  for i = 1, n do steps[i] = { kinds[t:random(1, 6)], ports[t:random(1, 6)], t:random(0, 0xffffffff) } end
  return steps
end

-- Pages of every size at addresses drawn from all 48 bits, with every bit set that a walk has to ignore.
local function random_pages(t)
  local pages, addresses = {}, {}
  for i = 1, 12 do
    local shift = ({ 12, 12, 21, 30 })[t:random(1, 4)]
    local size = 1 << shift
    local slot = 40 * i + t:random(0, 39) -- of the PML4: two pages never share a table that is a page of one of them
    local address = (slot & 0x1ff) << 39 | t:random(0, (1 << 39) - 1) & ~(size - 1)
    if address >> 47 & 1 == 1 then address = address | 0xffff << 48 end
    local gpa = shift == 30 and t:random(0, 3) << 30 or t:random(0, 0x3ffffff) & ~(size - 1)
    local bits = 1 | t:random(0, 0x7f) << 52 | t:random(0, 0x7) << 9 | t:random(0, 1) << 63 | t:random(0, 0x33) << 1 & 0x66
    if t:random(1, 4) == 1 then bits = bits & ~1 end -- not present
    if shift > 12 and t:random(0, 1) == 1 then bits = bits | 0x1000 end -- PAT of a large page
    pages[i] = { address, shift, gpa, bits }
    addresses[#addresses + 1] = address
    addresses[#addresses + 1] = address + t:random(0, size - 1)
    addresses[#addresses + 1] = address ~ (1 << t:random(12, 38))
  end
  return { pages = pages, addresses = addresses }
end

return {
  id = "02_first_exit",
  title = "The first exit, followed end to end",
  minutes = { 60, 150 },
  files = { "exit.lua" },
  predictions = {
    { id = "insns", ask = "How many instructions of guest hello have run when its first exit comes?", points = 4, within = 1,
      answer = function(t) return t:run("facts").insns end },
    { id = "cr", ask = "That exit is a CR access. The number of the control register?", points = 4,
      answer = function(t) return t:run("facts").cr end },
    { id = "len", ask = "How many bytes is the instruction long?", points = 4,
      answer = function(t) return t:run("facts").len end },
    { id = "qual", ask = "The exit qualification of OUT %al, $0x80 (bytes e6 80)?", points = 4,
      answer = function(t) return t:run("facts").qual end },
    { id = "levels", ask = "hello's code lies in a page of 2 MiB. How many entries does a walk to it read?", points = 4,
      answer = function(t) return t:run("facts").levels end },
  },
  tasks = {
    { id = "io", title = "The qualification of an I/O exit", points = 10,
      check = function(t)
        decode(t, "decode_io", {
          io{ port = 0x3f9, size = 1, write = true, string = false, rep = false, imm = false },
          io{ port = 0x3fd, size = 1, write = false, string = false, rep = false, imm = false },
          io{ port = 0x80, size = 2, write = true, string = false, rep = false, imm = true },
          io{ port = 0xcf8, size = 4, write = true, string = false, rep = false, imm = false },
          io{ port = 0x1f0, size = 2, write = false, string = true, rep = true, imm = false },
        })
      end },
    { id = "cr", title = "The qualification of a control-register access", points = 10,
      check = function(t)
        decode(t, "decode_cr", { cr("mov_to", { cr = 4, gpr = 0 }), cr("mov_from", { cr = 8, gpr = 12 }), cr("clts"),
          cr("lmsw", { source = 0xfff1, memory = false }), cr("lmsw", { source = 1, memory = true }) })
      end },
    { id = "next", title = "Where the guest goes on", points = 10,
      check = function(t)
        for _, guest in ipairs{ { "hello" }, { "exits", "only=1 cpuid=2 out=1 wrmsr=1 drread=2 xsetbv=1 invd=1" } } do
          local r = t:run("next", { guest = guest[1], append = guest[2], n = 60 })
          for i, e in ipairs(r.exits) do
            if e.said ~= e.was or i == #r.exits then
              t:equal(("%s: next_rip of exit %d, %s"):format(guest[1], i - 1, e.reason), given(e.said), e.was)
              break
            end
          end
        end
      end },
    { id = "walk", title = "Through the page tables", points = 20,
      check = function(t)
        walk(t, "hello", { addresses = { 0x100000, 0x1006ee, 0x3fffff, 0xfee00000 } })
        walk(t, "a page of 4 KiB", { pages = { { 0x123456789000, 12, 0x2fff000, 7 } }, addresses = { 0x123456789abc } })
        walk(t, "bits beside the address", { pages = { { 0x7000, 12, 0x9000, 1 << 63 | 0x7ff << 52 | 0xe67 } },
          addresses = { 0x7fff } })
        walk(t, "a page of 1 GiB", { pages = { { 0xffff800040000000, 30, 0x40000000, 7 } },
          addresses = { 0xffff800040000000, 0xffff80007fffffff } })
        walk(t, "one page, and nothing around it", { pages = { { 0x123456789000, 12, 0x2fff000, 7 } },
          addresses = { 0x123456789000, 0x12345678a000, 0x123456989000, 0x123496789000, 0x1000 } })
      end },
    { id = "follow", title = "One exit from end to end", points = 15, after = { "next", "walk" },
      check = function(t)
        follow(t, "hello", nil, "CR_ACCESS")
        follow(t, "hello", nil, "MSR_WRITE")
        follow(t, "hello", nil, "IO_INSTRUCTION")
        follow(t, "exits", "only=1 store=1", "EPT_VIOLATION")
        follow(t, "sensitive", nil, "RDPMC")
      end },
    { id = "latch", title = "A handler that decodes for itself", points = 15, after = { "io" },
      check = function(t)
        latch(t, "four bytes", 0x510, { { 4, 0x510, 0x12345678 }, { 12, 0x510, 0xffffffff } })
        latch(t, "one of four", 0x510, { { 4, 0x510, 0x12345678 }, { 1, 0x510, 0xabcdef99 }, { 12, 0x510, 0 } })
        latch(t, "two, into a register that is not empty", 0x510,
          { { 2, 0x510, 0xffff4321 }, { 10, 0x510, 0xaaaaaaaa }, { 9, 0x510, 0xbbbbbbbb } })
        latch(t, "other ports", 0x510, { { 9, 0x511, 0xaaaaaaaa }, { 4, 0x510, 5 }, { 1, 0x50f, 7 }, { 9, 0x510, 0 }, { 10, 0x50f, 0 } })
      end },
    { id = "unseen", title = "Values, tables, instructions and guests that nobody has seen", points = 20, hidden = true,
      after = { "io", "walk" },
      check = function(t)
        local function flag() return t:random(0, 1) == 1 end
        local list = {}
        for i = 1, 40 do
          list[i] = io{ port = t:random(0, 0xffff), size = ({ 1, 2, 4 })[t:random(1, 3)], write = flag(), string = flag(),
            rep = flag(), imm = flag() }
        end
        decode_all(t, "decode_io", list)
        for i = 1, 40 do
          local kind = ({ "mov_to", "mov_from", "lmsw", "clts" })[t:random(1, 4)]
          list[i] = cr(kind, { cr = ({ 0, 3, 4, 8 })[t:random(1, 4)], gpr = t:random(0, 15), source = t:random(0, 0xffff),
            memory = flag() })
        end
        decode_all(t, "decode_cr", list)
        t:weight(2)
        walk(t, "tables", random_pages(t))
        for i = 1, 3 do
          local code = ({ "\x66\xe7\x80", "\xe6\x81", "\xf3\x48\xee" })[i]
          local r = t:run("crossing", { code = code, before = t:random(1, #code - 1), address = t:random(1, 0x7ffff) << 28,
            first = t:random(0x500, 0x5ff) << 12, second = t:random(0x600, 0x6ff) << 12 })
          t:equal("follow: an instruction in two pages", given(r.said), r.is)
        end
        local port = t:random(0x600, 0xb00)
        latch(t, "latch", port, random_steps(t, port, 60))
      end },
  },
}
