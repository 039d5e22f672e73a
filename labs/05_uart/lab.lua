-- Lab 05: a UART in Lua. What is right is what the machine's own UART does with the same program of steps.
local function letter(t) return ("0x%02x"):format(t:random(0x41, 0x5a)) end
local function byte(t) return ("0x%02x"):format(t:random(0, 255)) end

-- What stands before the first difference, for a student to find the place.
local function context(log, i)
  if i == 1 then return "the first line" end
  return ("line %d, after %s"):format(i, table.concat(log, ", ", math.max(1, i - 4), i - 1))
end

local function first_difference(a, b)
  for i = 1, math.max(#a, #b) do
    if a[i] ~= b[i] then return i end
  end
end

-- One line a program: what the guest read, what came out on the console, and that it came to its end.
local function same(t, what, r, i)
  local mine, theirs = r.mine[i], r.builtin[i]
  local at = first_difference(mine.log, theirs.log)
  if at then
    t:equal(what .. ": what the guest reads", mine.log[at] or "nothing", theirs.log[at] or "nothing",
      context(theirs.log, at))
  elseif mine.console ~= theirs.console then
    t:equal(what .. ": the console", mine.console, theirs.console)
  else
    t:equal(what .. ": reads, console and end", mine.ended, theirs.ended)
  end
end

local function play(t, programs)
  local list, names = {}, {}
  for i, p in ipairs(programs) do
    names[i] = p[1]
    list[i] = p[2]
  end
  local r = t:run("play", { programs = list })
  for i, name in ipairs(names) do same(t, name, r, i) end
end

local function join(...)
  local out = {}
  for _, list in ipairs{ ... } do
    for _, step in ipairs(list) do out[#out + 1] = step end
  end
  return out
end

local function times(n, step)
  local out = {}
  for i = 1, n do out[i] = type(step) == "function" and step(i) or step end
  return out
end

-- To a known state: 8N1, no interrupts, no FIFO.
local START = { "out LCR 0x03", "out IER 0", "out FCR 0", "out MCR 0", "out SCR 0" }

-- A program of n steps that nobody has seen. Windows for interrupts only while DLAB is 0: the handler reads RBR.
local function unseen(t, n)
  local p, dlab = join(START), false
  local fcr = { "0", "0x01", "0x03", "0x05", "0x07" }
  local choices = {
    function() return "out SCR " .. byte(t) end,
    function() return "in SCR" end,
    function() return "in LCR" end,
    function() return "in MCR" end,
    function() return "in IER" end,
    function() return "in IIR" end,
    function() return "in MSR" end,
    function() return "poll" end,
    function() return "poll" end,
    function() return "in LSR" end,
    function() return "key " .. letter(t) end,
    function() return "key " .. letter(t) end,
    function() return "out THR " .. letter(t) end,
    function() return "out THR " .. letter(t) end,
    function() return "out FCR " .. fcr[t:random(1, 5)] end,
    function() return "out MCR " .. byte(t) end,
    function() return "out IER " .. byte(t) end,
    function() return dlab and "in DLL" or "irq" end,
    function() return dlab and "in DLM" or "irq" end,
    function()
      dlab = not dlab and t:random(1, 3) == 1
      return ("out LCR 0x%02x"):format(t:random(0, 0x3f) | (dlab and 0x80 or 0))
    end,
    function()
      dlab = false
      return "out LCR 0x03"
    end,
  }
  for _ = 1, n do p[#p + 1] = choices[t:random(1, #choices)]() end
  return join(p, { "out LCR 0x03", "irq" }, times(20, "poll"), { "in IIR", "in MSR", "in LSR" })
end

return {
  id = "05_uart",
  title = "A UART in Lua",
  minutes = { 120, 180 },
  files = { "uart.lua" },
  predictions = {
    { id = "exits", ask = "How many IO_INSTRUCTION exits does guest hello cause? It prints 48 characters.", points = 5,
      answer = function(t) return t:run("bundled", { guest = "hello" }).vm.exits_by.IO_INSTRUCTION end },
    { id = "busy", ask = "And if LSR says \"not ready\" at every first, third, fifth question?", points = 5,
      answer = function(t) return t:run("busy").vm.exits_by.IO_INSTRUCTION end },
    { id = "iir", ask = "No FIFO, IER = 3, the transmitter is empty, a byte has come. Which value has IIR?", points = 5,
      answer = function(t)
        local log = t:run("play", { programs = { { "out FCR 0", "out IER 3", "key 0x41", "in IIR" } } }).builtin[1].log
        return tonumber(log[#log]:match("IIR (%x+)"), 16)
      end },
    { id = "iir_again", ask = "The guest reads RBR, then IIR, then IIR once more. Which value has the last one?", points = 5,
      answer = function(t)
        local log = t:run("play", { programs = { { "out FCR 0", "out IER 3", "key 0x41", "in IIR", "in RBR", "in IIR", "in IIR" } } })
          .builtin[1].log
        return tonumber(log[#log]:match("IIR (%x+)"), 16)
      end },
  },
  tasks = {
    { id = "print", title = "Print", points = 10,
      check = function(t)
        local mine = t:run("bundled", { guest = "hello", mine = true })
        local theirs = t:run("bundled", { guest = "hello" })
        t:equal("console of hello", mine.console, theirs.console)
        t:band("IO_INSTRUCTION exits of hello", mine.console == theirs.console and mine.vm.exits_by.IO_INSTRUCTION or nil,
          { { 1, theirs.vm.exits_by.IO_INSTRUCTION, 1.0 }, { 1, 2 * theirs.vm.exits_by.IO_INSTRUCTION, 0.5 } },
          mine.vm and mine.vm.rip_of.IO_INSTRUCTION)
      end },
    { id = "registers", title = "Registers and DLAB", points = 15,
      check = function(t)
        play(t, {
          { "SCR", join(START, { "out SCR 0x5a", "in SCR", "out SCR 0xa5", "in SCR" }) },
          { "LCR", join(START, { "out LCR 0x1b", "in LCR", "out LCR 0x9f", "in LCR", "out LCR 0x03", "in LCR" }) },
          { "divisor latches", join(START, { "out IER 5", "out LCR 0x83", "out DLL 0x34", "out DLM 0x12", "in DLL", "in DLM",
            "out LCR 0x03", "in IER", "out LCR 0x80", "in DLM", "in DLL" }) },
          { "IER and MCR keep the bits that they have", join(START, { "out IER 0xf5", "in IER", "out MCR 0xe3", "in MCR" }) },
          { "after reset", { "in IER", "in IIR", "in LCR", "in MCR", "in LSR", "in MSR", "in SCR", "out LCR 0x80", "in DLL", "in DLM",
            "in BEHIND" } },
          { "LSR and MSR cannot be written", join(START, { "out LSR 0xff", "out MSR 0xff", "in LSR", "in MSR" }) },
        })
      end },
    { id = "receive", title = "Receive", points = 15, after = { "print" },
      check = function(t)
        play(t, {
          { "one byte", join(START, { "poll", "key 0x41", "in LSR", "poll", "poll" }) },
          { "bytes that have to wait", join(START, { "key 0x41", "key 0x42", "key 0x43" }, times(5, "poll")) },
          { "with DLAB a byte stays where it is", join(START, { "key 0x51", "out LCR 0x83", "out DLL 0x0c", "in DLL",
            "out LCR 0x03", "poll", "poll" }) },
        })
      end },
    { id = "interrupts", title = "Interrupts", points = 20, after = { "receive" },
      check = function(t)
        play(t, {
          { "received data", join(START, { "out IER 1", "in IIR", "irq", "key 0x41", "in IIR", "irq", "in IIR",
            "key 0x42", "irq", "key 0x43", "irq" }) },
          { "nobody asked", join(START, { "key 0x41", "in IIR", "irq", "poll" }) },
          { "transmitter empty: at once when enabled", join(START, { "out IER 2", "in IIR", "in IIR", "out IER 2", "in IIR", "irq" }) },
          { "transmitter empty: after each byte", join(START, { "out IER 2", "irq", "out THR 0x41", "irq", "out THR 0x42", "irq",
            "irq", "in IIR" }) },
          { "transmitter empty: each time it is newly enabled", join(START, { "out IER 2", "in IIR", "out IER 1", "out IER 3",
            "in IIR", "out IER 2", "out IER 3", "in IIR" }) },
          { "the highest first", join(START, { "out IER 3", "key 0x41", "key 0x42", "irq", "in IIR", "out THR 0x43", "key 0x44", "irq" }) },
        })
      end },
    { id = "fifo", title = "FIFO", points = 10, after = { "receive" },
      check = function(t)
        play(t, {
          { "IIR shows it", join(START, { "out FCR 1", "in IIR", "out FCR 0", "in IIR" }) },
          { "switched on while a byte waits", join(START, { "key 0x41", "key 0x42", "out FCR 1", "poll", "poll", "in RBR" }) },
          { "sixteen bytes", join(START, { "out FCR 1", "in IIR" }, times(18, function(i) return ("key 0x%02x"):format(0x40 + i) end),
            times(19, "poll")) },
          { "cleared", join(START, { "out FCR 1", "in IIR", "key 0x41", "key 0x42", "out FCR 3", "poll", "key 0x43", "poll", "key 0x44",
            "out FCR 5", "poll", "key 0x45", "out FCR 0", "poll" }) },
        })
      end },
    { id = "loopback", title = "Loopback, modem, overrun", points = 10, after = { "receive" },
      check = function(t)
        play(t, {
          { "a byte comes back", join(START, { "out MCR 0x10", "out THR 0x41", "poll", "poll", "out MCR 0", "out THR 0x42" }) },
          { "outputs are inputs", join(START, { "in MSR", "out MCR 0x1f", "in MSR", "in MSR", "out MCR 0x11", "in MSR", "out MCR 0x12",
            "in MSR", "out MCR 0x14", "in MSR", "out MCR 0x18", "in MSR", "out MCR 0", "in MSR", "in MSR" }) },
          { "overrun", join(START, { "out MCR 0x10", "out THR 0x41", "out THR 0x42", "in LSR", "in LSR", "poll", "poll" }) },
          { "overrun, and nobody wants to know", join(START, { "out IER 1", "out MCR 0x10", "in IIR", "out THR 0x41", "out THR 0x42",
            "in IIR", "out MCR 0x14", "in RBR", "in IIR", "in LSR", "in MSR" }) },
          { "what comes in meanwhile", join(START, { "out MCR 0x10", "key 0x41", "poll", "out MCR 0", "poll" }) },
          { "overrun of the FIFO", join(START, { "out FCR 1", "in IIR", "out MCR 0x10" },
            times(18, function(i) return ("out THR 0x%02x"):format(0x40 + i) end), { "in LSR" }, times(17, "poll")) },
          { "line and modem status interrupt", join(START, { "out IER 0x0c", "out MCR 0x10", "in IIR", "irq", "out THR 0x41",
            "out THR 0x42", "in IIR", "irq", "poll", "in IIR" }) },
        })
      end },
    { id = "unseen", title = "Any program", points = 20, after = { "receive" }, hidden = true,
      check = function(t)
        local programs = {}
        for i = 1, 10 do programs[i] = { "program " .. i, unseen(t, 60) } end
        play(t, programs)
      end },
  },
}
