-- Lab 01: one guest, three modes. All numbers come from runs.
local BACKENDS = { "emulate/I", "emulate/II", "simulate/I", "simulate/II", "virtualize/I", "virtualize/II" }

local function by(t, guest, mode, controls)
  return t:run("run", { guest = guest, mode = mode, controls = controls }).vm
end

-- What a function gave; nil when that was nothing.
local function given(text)
  return text ~= "nil" and text or nil
end

local function measure(t, args)
  local r, is = t:run("measure", args), t:run("measured", args)
  local what = ("measure: %s%s, %s"):format(args.guest, args.append and " " .. args.append or "", args.mode)
  t:equal(what, given(r.said), is.said)
  t:equal(what .. ": console", r.console, is.console)
end

local function equivalent(t, what, args)
  local r = t:run("equivalent", args)
  t:equal("equivalent: " .. what, given(r.said), r.is)
end

-- A list of { what, args }. Some are equivalent and some are not: who says the same of all has looked at none.
local function equivalents(t, list)
  local runs, alike = {}, true
  for i, pair in ipairs(list) do
    runs[i] = t:run("equivalent", pair[2])
    alike = alike and runs[i].said == runs[1].said
  end
  for i, r in ipairs(runs) do t:equal("equivalent: " .. list[i][1], not alike and given(r.said) or nil, r.is) end
  if alike and given(runs[1].said) then t:say("equivalent says the same of every pair: nothing of it counts") end
end

local function process(t, guest, append)
  local r = t:run("process", { guest = guest, append = append })
  t:equal(("process_sees: %s%s"):format(guest, append and " " .. append or ""), r.said ~= "" and r.said or nil, r.is)
end

-- What summary has to say, from the definition in the README.
local function summary(t, what, rows)
  local ran, missing, seen = {}, {}, {}
  for _, name in ipairs(BACKENDS) do
    local row = rows[name]
    if row and row.ran then
      ran[#ran + 1] = name
      if not row.reference then seen[row.equivalence.state] = true end
    elseif row then
      missing[#missing + 1] = ("%s (%s)"):format(name, row.why)
    end
  end
  local state = seen.violated and "violated" or seen.unknown and "unknown" or seen.holds and "holds" or "n/a"
  t:equal("summary: " .. what, given(t:run("summary", { rows = rows }).said),
    ("ran: %s; missing: %s; equivalence: %s"):format(table.concat(ran, " "), table.concat(missing, " "), state))
end

local function row(state)
  return { ran = true, reference = false, ended = "debug_exit", exits = 108, equivalence = { state = state, evidence = "" },
    safety = { state = "holds", evidence = "" }, efficiency = { state = "n/a", evidence = "" } }
end

local function reference()
  local r = row("n/a")
  r.reference = true
  return r
end

local function lacks(why)
  return { ran = false, why = why }
end

local function random_rows(t)
  local rows = {}
  for _, name in ipairs(BACKENDS) do
    local kind = t:random(1, 10)
    if name == "emulate/II" then
      rows[name] = reference()
    elseif kind <= 3 then
      rows[name] = lacks("reason " .. t:random(1, 99))
    else
      rows[name] = row(({ "holds", "holds", "holds", "holds", "unknown", "violated", "n/a" })[kind - 3])
    end
  end
  return rows
end

local function model(t, args)
  local r = t:run("model", args)
  local what = ("model: n=%d text=%s"):format(args.n, args.text)
  t:weight(2)
  t:equal(("%s: %s"):format(what, r.at and "exit number " .. r.at or "exits in reason, order and values"), r.said, r.is,
    "how the model ended: " .. r.ended)
  t:equal(what .. ": console", r.console, r.text)
  t:band(what .. ": instructions, once the exits are right; the model's, less those of the guest", not r.at and r.insns or nil,
    { { 0, 0, 1.0 }, { -10, 10, 0.5 } })
end

local function letters(t, n)
  local out = {}
  for i = 1, n do out[i] = string.char(t:random(97, 122)) end
  return table.concat(out)
end

-- An argument list of guest exits: some kinds, each a few times.
local function kinds(t)
  local list = { "only=1" }
  for _, name in ipairs{ "cpuid", "out", "in", "out32", "store", "load", "wrmsr", "rdmsr", "cr", "drwrite", "invd" } do
    if t:random(0, 1) == 1 then list[#list + 1] = ("%s=%d"):format(name, t:random(1, 5)) end
  end
  return table.concat(list, " ")
end

local GUESTS = { "hello", "primes", "boot16" }

return {
  id = "01_three_modes",
  title = "One guest, three modes",
  minutes = { 60, 120 },
  files = { "observations.lua", "measure.lua", "model.lua" },
  predictions = {
    { id = "exits", ask = "hello prints 48 characters. How many exits in mode emulate, within 4?", points = 5, within = 4,
      answer = function(t) return by(t, "hello", "emulate").exits end },
    { id = "simulated", ask = "And in mode simulate, where no instruction of the guest is read?", points = 5,
      answer = function(t) return by(t, "hello", "simulate").exits end },
    { id = "process", ask = "And for a process above /dev/kvm, profile kvm-user?", points = 5, within = 2,
      answer = function(t) return by(t, "hello", "emulate", "kvm-user").exits end },
    { id = "efficiency", ask = 'primes computes for long between two exits. Efficiency of mode emulate: "holds" or "violated"?', points = 5,
      answer = function(t) return by(t, "primes", "emulate").verdicts.efficiency end },
  },
  tasks = {
    { id = "numbers", title = "Observations", points = 15,
      check = function(t)
        local names, is = {}, {}
        for _, guest in ipairs(GUESTS) do
          local emulated, simulated = by(t, guest, "emulate"), by(t, guest, "simulate")
          for what, v in pairs{ exits = emulated.exits, emulate_insns = emulated.insns, simulate_insns = simulated.insns } do
            names[#names + 1] = what .. "." .. guest
            is[#is + 1] = tostring(v)
          end
        end
        for name, v in pairs(t:run("equal", { guest = "hello" })) do
          names[#names + 1] = "equal." .. name
          is[#is + 1] = tostring(v)
        end
        local said = t:run("observations", { names = names }).said
        local right = "what a run shows" -- the answer is not given away
        for i, name in ipairs(names) do
          local seen = given(said[i])
          if seen == is[i] then
            seen = right
          elseif seen == right then -- who hands in these words has run nothing
            seen = "these words"
          end
          t:equal(name, seen, right)
        end
      end },
    { id = "measure", title = "Measure", points = 10,
      check = function(t)
        measure(t, { guest = "hello", mode = "emulate" })
        measure(t, { guest = "hello", mode = "simulate" })
        measure(t, { guest = "exits", append = "only=1 cpuid=3 store=2 end=hlt", mode = "emulate" })
      end },
    { id = "equivalent", title = "Equivalent or not", points = 20, after = { "measure" },
      check = function(t)
        equivalents(t, {
          { "hello, emulated and simulated", { a = { guest = "hello" }, b = { guest = "hello", mode = "simulate" } } },
          { "exits, emulated and simulated", { a = { guest = "exits" }, b = { guest = "exits", mode = "simulate" } } },
          { "primes for long: the VMM's own timer comes in between", { a = { guest = "primes", append = "rounds=18" },
            b = { guest = "primes", append = "rounds=18", mode = "simulate" } } },
          { "one exit more", { a = { guest = "exits", append = "only=1 cpuid=2" }, b = { guest = "exits",
            append = "only=1 cpuid=3" } } },
          { "another value of an IN", { a = { guest = "exits", append = "only=1 in=3" }, b = { guest = "exits",
            append = "only=1 in=3" }, fault = { port = 0x3ff, at = 2, flip = 1 } } },
          { "another answer of CPUID", { a = { guest = "exits", append = "only=1 cpuid=3" }, b = { guest = "exits",
            append = "only=1 cpuid=3", mode = "simulate" }, fault = { reason = "CPUID", at = 2, register = "eax", flip = 4 } } },
          { "another value of RDMSR", { a = { guest = "hello" }, b = { guest = "hello" },
            fault = { reason = "MSR_READ", at = 1, flip = 1 } } },
          { "two guests", { a = { guest = "hello" }, b = { guest = "boot16" } } },
          { "a letter that nobody wrote", { a = { guest = "hello" }, b = { guest = "hello", mode = "simulate" },
            fault = { port = 0x3fd, at = 7, letter = "!" } } },
        })
      end },
    { id = "process", title = "What a process sees", points = 10,
      check = function(t)
        process(t, "hello")
        process(t, "exits")
        process(t, "timer")
        process(t, "exits", "only=1 cpuid=3 load=2 end=triple")
      end },
    { id = "summary", title = "A machine without VT-x", points = 10,
      check = function(t)
        summary(t, "all there", { ["emulate/II"] = reference(), ["simulate/II"] = row("holds"), ["virtualize/II"] = row("holds") })
        summary(t, "no VT-x", { ["emulate/II"] = reference(), ["simulate/II"] = row("holds"),
          ["virtualize/II"] = lacks("no /dev/kvm"), ["virtualize/I"] = lacks("no machine") })
        summary(t, "one differs", { ["emulate/II"] = reference(), ["simulate/II"] = row("violated"),
          ["virtualize/II"] = row("unknown"), ["emulate/I"] = row("holds") })
        summary(t, "nobody knows", { ["emulate/II"] = reference(), ["simulate/II"] = row("holds"), ["virtualize/II"] = row("unknown") })
        summary(t, "alone", { ["emulate/II"] = reference() })
      end },
    { id = "model", title = "A model", points = 15,
      check = function(t)
        model(t, { n = 1, text = "hi" })
        model(t, { n = 5, text = "vmscope" })
      end },
    { id = "unseen", title = "Other guests, other faults", points = 20, hidden = true, after = { "measure" },
      check = function(t)
        measure(t, { guest = "exits", append = kinds(t), mode = ({ "emulate", "simulate" })[t:random(1, 2)] })
        for i = 1, 3 do
          local args = kinds(t) .. " in=4 cpuid=3"
          local fault = ({ { port = 0x3ff, at = t:random(1, 3), flip = 1 << t:random(0, 7) },
            { port = 0x3f8, at = t:random(5, 12), letter = "x" },
            { reason = "CPUID", at = t:random(1, 3), register = ({ "eax", "ebx", "ecx", "edx" })[t:random(1, 4)], flip = 2 } })[i]
          equivalent(t, "exits " .. args, { a = { guest = "exits", append = args }, b = { guest = "exits", append = args,
            mode = "simulate" }, fault = fault })
        end
        process(t, "exits", kinds(t) .. " out=1 hlt=" .. t:random(1, 3))
        for i = 1, 3 do summary(t, "machine " .. i, random_rows(t)) end
        t:weight(2)
        model(t, { n = t:random(2, 13), text = letters(t, t:random(3, 12)) })
      end },
  },
}
