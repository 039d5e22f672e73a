local M = {}

M.highest = 0xd -- leaf 0 says so in EAX

function M.count(vm)
  local seen = {}
  vm:on_exit("CPUID", function(exit)
    seen[exit.leaf] = (seen[exit.leaf] or 0) + 1
  end)
  return seen
end

function M.hide(vm)
  vm:on_exit("CPUID", function(exit, cpu)
    if exit.leaf == 1 then
      exit:default()
      exit.ecx = exit.ecx & ~(1 << 31) -- the verdict stays the default's
    elseif exit.leaf >> 28 == 4 then
      cpu.eax = M.highest -- as a processor does with a number that it does not know
    end
  end)
end

function M.sign(vm, text)
  vm:on_exit("CPUID", function(exit)
    if exit.leaf == 0x40000000 then
      exit.eax = 0x40000001
      exit.ebx, exit.ecx, exit.edx = string.unpack("<I4I4I4", text)
      return "next"
    elseif exit.leaf == 0x40000001 then
      exit.eax = 0xdeadbeef -- what is not set is 0
      return "next"
    end
  end)
end

function M.vendor(vm, text)
  vm:on_exit("CPUID", function(exit)
    if exit.leaf == 0 then
      exit:default()
      exit.ebx, exit.edx, exit.ecx = string.unpack("<I4I4I4", text)
    end
  end)
end

function M.limit(vm, max)
  vm:on_exit("CPUID", function(exit, cpu)
    if exit.leaf == 0 then
      exit:default()
      exit.eax = max
    elseif exit.leaf < 0x40000000 then
      cpu.eax = math.min(exit.leaf, max)
    end
  end)
end

function M.by_hand(vm)
  vm:on_exit("CPUID", function(exit, cpu)
    exit:default()
    if exit.leaf == 1 then cpu.ecx = exit.ecx & ~(1 << 31) end
    cpu.rip = exit.rip + exit.insn_len
    return "again"
  end)
end

return M
