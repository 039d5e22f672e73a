local M = {}

local function count(vm)
  local by = {}
  for _, row in ipairs(vm.stats.rows) do by[row.name] = row.samples end
  return by
end

function M.measure(vm)
  vm:run()
  return { mode = vm.mode, ended = vm.ended.kind, exits = vm.exits, insns = vm.insns, console = vm.console, reasons = count(vm) }
end

local LEFT_OUT = {}
for _, name in ipairs{ "EXTERNAL_INTERRUPT", "INTERRUPT_WINDOW", "NMI_WINDOW", "TPR_BELOW_THRESHOLD", "PREEMPTION_TIMER" } do
  LEFT_OUT[name] = true
end

local FIELDS = {
  IO_INSTRUCTION = { "port", "write", "size", "value" },
  CPUID = { "leaf", "subleaf", "eax", "ebx", "ecx", "edx" },
  MSR_READ = { "msr", "value" },
}

local function sequence(vm)
  local out = {}
  for i = 1, #vm.trace do
    local exit = vm.trace[i]
    if not LEFT_OUT[exit.reason] then
      local text = exit.reason
      for _, name in ipairs(FIELDS[exit.reason] or {}) do
        text = text .. " " .. tostring(exit[name])
      end
      out[#out + 1] = text
    end
  end
  return out
end

function M.equivalent(a, b)
  a:run()
  b:run()
  local one, other = sequence(a), sequence(b)
  local at = 1
  while one[at] and one[at] == other[at] do at = at + 1 end
  if one[at] == other[at] then at = nil end -- both are at their end
  local console = a.console == b.console
  return { verdict = console and not at and "holds" or "violated", at = at, console = console }
end

function M.process_sees(vm)
  vm:run()
  local by = count(vm)
  local seen = {}
  for _, name in ipairs{ "IO_INSTRUCTION", "EPT_VIOLATION", "HLT", "TRIPLE_FAULT" } do seen[name] = by[name] end
  return seen
end

function M.summary(rows)
  local ran, missing, seen = {}, {}, {}
  for name, row in pairs(rows) do
    if not row.ran then
      missing[name] = row.why
    else
      ran[#ran + 1] = name
      if not row.reference then seen[row.equivalence.state] = true end
    end
  end
  local equivalence = "n/a"
  for _, state in ipairs{ "holds", "unknown", "violated" } do
    if seen[state] then equivalence = state end
  end
  return { ran = ran, missing = missing, equivalence = equivalence }
end

return M
