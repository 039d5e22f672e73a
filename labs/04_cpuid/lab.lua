-- Lab 04: CPUID handlers. What is right is computed from the machine's own answers ("plain"), never written down here.
local PREFIXES = { false, 0x66, 0x67, 0x2e, 0xf3 }
local HYPERVISOR_BIT = 1 << 31

-- The answers that a leaf gives on this machine, and so those that a leaf answered like another has to give.
local function plain(t, asks)
  local r = t:run("facts", { asks = asks })
  local answers = {}
  for i, a in ipairs(r.answers) do answers[i] = { a[1], a[2], a[3], a[4] } end
  return { answers = answers }
end

-- n questions: leaf, subleaf, prefix; every kind of leaf, in an order that nobody knows before.
local function questions(t, n)
  local function leaf()
    local kind = t:random(1, 8)
    if kind <= 3 then return t:random(0, 0xd) end
    if kind == 4 then return t:random(0xe, 0x40) end
    if kind == 5 then return 0x40000000 + t:random(0, 3) end
    if kind == 6 then return 0x80000000 + t:random(0, 9) end
    if kind == 7 then return t:random(0x20000000, 0x3fffffff) end
    return t:random(0x50000000, 0x7fffffff)
  end
  local asks = {
    { 0, 0, false }, { 1, 0, 0x2e }, { 0x40000000, 0, false }, { 0x40000001, 0, 0x66 }, { 0x4fffffff, 1, false },
    { 0x3fffffff, 1, false }, { 0x80000000, 0, 0x67 }, { 0x80000002, 0, false }, { 0xd, 1, 0xf3 }, { 0xe, 1, false },
  }
  for _ = 1, n do asks[#asks + 1] = { leaf(), t:random(0, 2), PREFIXES[t:random(1, #PREFIXES)] } end
  for i = #asks, 2, -1 do
    local k = t:random(1, i)
    asks[i], asks[k] = asks[k], asks[i]
  end
  return asks
end

-- n questions for leaves that every processor has, and how often each is in it, as the scene shows it.
local function leaves(t, n)
  local asks, times, out = {}, {}, {}
  for i = 1, n do
    local leaf = ({ 0, 1, 2, 4, 7, 0xd })[t:random(1, 6)]
    asks[i] = { leaf, 0, PREFIXES[t:random(1, #PREFIXES)] }
    times[leaf] = (times[leaf] or 0) + 1
  end
  for leaf, k in pairs(times) do out[#out + 1] = ("%d:%d"):format(leaf, k) end
  return asks, table.concat(out, " ")
end

local function words(answer)
  return answer and ("eax %08x ebx %08x ecx %08x edx %08x"):format(answer[1], answer[2], answer[3], answer[4])
end

local function named(ask)
  return ("leaf %#x, subleaf %d%s"):format(ask[1], ask[2], ask[3] and (", behind prefix %#x"):format(ask[3]) or "")
end

local function group(ask)
  if ask[1] < 0x40000000 then return "basic leaves" end
  return ask[1] < 0x80000000 and "leaves from 0x40000000" or "leaves from 0x80000000"
end

-- The first question of those chosen that came out wrong, or the last: one line says it for all of them.
local function line(t, what, r, asks, expected, chosen)
  local at
  for i in ipairs(asks) do
    if chosen(i) then
      at = i
      if words(r.answers[i]) ~= words(expected[i]) then break end
    end
  end
  if not at then return true end
  local s, e = words(r.answers[at]), words(expected[at])
  t:equal(what, s, e, named(asks[at]) .. (#r.rips == #asks and (", RIP %#x"):format(r.rips[at]) or ""))
  return s == e
end

-- What a handler has to change, by kind of leaf; then what it must leave alone, which counts once it has changed
-- something well (good: it already has), and that the guest came through.
local function compare(t, what, r, asks, expected, before, good)
  local function changed(i) return words(expected[i]) ~= words(before[i]) end
  for _, g in ipairs{ "basic leaves", "leaves from 0x40000000" } do
    local function mine(i) return changed(i) and group(asks[i]) == g end
    for i in ipairs(asks) do
      if mine(i) then
        good = line(t, ("%s: %s"):format(what, g), r, asks, expected, mine) and good ~= false
        break
      end
    end
  end
  if not good then
    t:equal(what .. ": all other leaves are as before", nil, "looked at when the lines above are good")
    return
  end
  line(t, what .. ": all other leaves are as before", r, asks, expected, function(i) return not changed(i) end)
  t:equal(what .. ": the guest came to its end", r.vm.ended and r.vm.ended.kind, "debug_exit")
end

-- The answers that hide has to give: the plain ones of another question.
local function hidden_answers(t, asks)
  local like = {}
  for i, ask in ipairs(asks) do
    local beyond = ask[1] >= 0x40000000 and ask[1] <= 0x4fffffff
    like[i] = { beyond and 0x20000000 or ask[1], ask[2], false }
  end
  local expected = plain(t, like).answers
  for i, ask in ipairs(asks) do
    if ask[1] == 1 then expected[i][3] = expected[i][3] & ~HYPERVISOR_BIT end
  end
  return expected
end

local function limit_answers(t, asks, max)
  local like = {}
  for i, ask in ipairs(asks) do
    like[i] = { ask[1] > max and ask[1] < 0x40000000 and max or ask[1], ask[2], false }
  end
  local expected = plain(t, like).answers
  for i, ask in ipairs(asks) do
    if ask[1] == 0 then expected[i][1] = max end
  end
  return expected
end

local function letters(t, n)
  local text = {}
  for i = 1, n do text[i] = string.char(t:random(97, 122)) end
  return table.concat(text)
end

local function signed_answers(t, asks, text)
  local expected = plain(t, asks).answers
  local b, c, d = string.unpack("<I4I4I4", text)
  for i, ask in ipairs(asks) do
    if ask[1] == 0x40000000 then expected[i] = { 0x40000001, b, c, d } end
    if ask[1] == 0x40000001 then expected[i] = { 0xdeadbeef, 0, 0, 0 } end
  end
  return expected
end

local function vendor_answers(t, asks, text)
  local expected = plain(t, asks).answers
  local b, d, c = string.unpack("<I4I4I4", text)
  for i, ask in ipairs(asks) do
    if ask[1] == 0 then expected[i] = { expected[i][1], b, c, d } end
  end
  return expected
end

local function verdicts(r)
  local seen = {}
  for _, v in ipairs(r.verdicts) do seen[v] = true end
  local names = {}
  for v in pairs(seen) do names[#names + 1] = v end
  return table.concat(names, " ")
end

local function by_hand(t, asks)
  local r = t:run("ask", { what = "by_hand", asks = asks })
  local before, expected = plain(t, asks).answers, plain(t, asks).answers
  for i, ask in ipairs(asks) do
    if ask[1] == 1 then expected[i] = { before[i][1], before[i][2], before[i][3] & ~HYPERVISOR_BIT, before[i][4] } end
  end
  t:equal("by_hand: verdicts of the CPUID exits", verdicts(r), "again")
  compare(t, "by_hand", r, asks, expected, before, verdicts(r) == "again")
end

local visible = { { 0, 0, false }, { 1, 0, false }, { 2, 0, false }, { 7, 0, false }, { 0xd, 1, false },
  { 0x40000000, 0, false }, { 0x40000001, 0, false }, { 0x80000000, 0, false }, { 0x20, 1, false } }

return {
  id = "04_cpuid",
  title = "Write the CPUID handler",
  minutes = { 60, 120 },
  files = { "cpuid.lua" },
  predictions = {
    { id = "exits", ask = "The guest \"exits\" prints \"cpuid 10\". How many CPUID exits does \"vmscope run exits\" count?", points = 5,
      answer = function(t) return t:run("facts").exits_cpuid end },
    { id = "kvm_user", ask = "And with --controls kvm-user, as a process sees them above /dev/kvm?", points = 5,
      answer = function(t) return t:run("facts").kvm_cpuid end },
    { id = "unknown", ask = "Leaf 0x20 does not exist. What is in EAX after CPUID with EAX = 0x20, ECX = 0?", points = 5,
      answer = function(t) return t:run("facts", { asks = { { 0x20, 0, false } } }).answers[1][1] end },
    { id = "length", ask = "CPUID is 0F A2. How long is the instruction F3 0F A2 for the VMM (exit.insn_len)?", points = 5,
      answer = function(t) return t:run("facts", { asks = { { 0, 0, 0xf3 } } }).lengths[1] end },
  },
  tasks = {
    { id = "count", title = "Look on", points = 15,
      check = function(t)
        -- Two guests that ask for different leaves: a table that is written down is not that of both.
        local r, asks, counted, said = {}, {}, {}, {}
        for i = 1, 2 do
          asks[i], counted[i] = leaves(t, 2 + 2 * i)
          r[i] = t:run("ask", { what = "count", asks = asks[i] })
          said[i] = r[i].counted
        end
        local all = #said == 2 and table.concat(said, "; then ") or said[1] or said[2]
        t:equal("how often each leaf was asked for", all, table.concat(counted, "; then "))
        local before = plain(t, asks[2]).answers
        compare(t, "count", r[2], asks[2], before, before, all == table.concat(counted, "; then "))
      end },
    { id = "hide", title = "Hide the hypervisor", points = 20,
      check = function(t)
        local r = t:run("ask", { what = "hide", asks = visible })
        t:equal("bit 31 of ECX in leaf 1", r.answers[2] and r.answers[2][3] >> 31, 0)
        t:equal("highest: the highest basic leaf of this machine", r.highest, plain(t, visible).answers[1][1])
        compare(t, "hide", r, visible, hidden_answers(t, visible), plain(t, visible).answers)
      end },
    { id = "sign", title = "Show one of your own", points = 15,
      check = function(t)
        local r = t:run("ask", { what = "sign", arg = "deadbeefMtrx", asks = visible })
        compare(t, "sign", r, visible, signed_answers(t, visible, "deadbeefMtrx"),
          plain(t, visible).answers)
      end },
    { id = "vendor", title = "Another vendor", points = 10,
      check = function(t)
        local r = t:run("ask", { what = "vendor", arg = "GenuineLabCo", asks = visible })
        compare(t, "vendor", r, visible, vendor_answers(t, visible, "GenuineLabCo"),
          plain(t, visible).answers)
      end },
    { id = "limit", title = "An older processor", points = 10,
      check = function(t)
        local r = t:run("ask", { what = "limit", arg = 4, asks = visible })
        compare(t, "limit 4", r, visible, limit_answers(t, visible, 4), plain(t, visible).answers)
      end },
    { id = "by_hand", title = "RIP by hand", points = 10,
      check = function(t)
        by_hand(t, { { 0, 0, false }, { 1, 0, 0x2e }, { 0xd, 1, 0xf3 } })
      end },
    { id = "unseen", title = "Any leaf, in any order, behind any prefix", points = 20, after = { "hide" }, hidden = true,
      check = function(t)
        local asks = questions(t, 40)
        local text = letters(t, 12)
        local max = t:random(1, 7)
        local before = plain(t, asks).answers
        local function try(what, arg, expected)
          compare(t, what, t:run("ask", { what = what, arg = arg, asks = asks }), asks, expected, before)
        end
        try("hide", nil, hidden_answers(t, asks))
        try("sign", text, signed_answers(t, asks, text))
        try("vendor", text, vendor_answers(t, asks, text))
        try("limit", max, limit_answers(t, asks, max))
        by_hand(t, asks)
      end },
  },
}
