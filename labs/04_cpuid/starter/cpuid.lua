-- Handlers of CPUID exits. Each function gets a VM that has not run yet, and sets its handlers with vm:on_exit.
local M = {}

M.highest = nil -- the highest basic leaf of this machine: find it out (leaf 0, EAX)

-- Counts, and changes nothing. Gives a table: seen[leaf] = how often it was asked for.
function M.count(vm)
  local seen = {}
  vm:on_exit("CPUID", function(exit, cpu)
    -- your code
  end)
  return seen
end

-- No guest may find out from CPUID that there is a hypervisor.
function M.hide(vm)
end

-- The leaves 0x40000000 and 0x40000001 are yours; text has 12 characters.
function M.sign(vm, text)
end

-- Leaf 0 names another vendor; text has 12 characters.
function M.vendor(vm, text)
end

-- The highest basic leaf is max.
function M.limit(vm, max)
end

-- Each verdict is "again": RIP is moved here. Bit 31 of ECX in leaf 1 is 0, all else is what the VMM answers.
function M.by_hand(vm)
end

return M
