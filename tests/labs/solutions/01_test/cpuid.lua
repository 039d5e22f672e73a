local M = {}

function M.install(vm)
  vm:on_exit("CPUID", function(exit)
    exit:default()
    if exit.leaf == 1 then
      exit.ecx = exit.ecx & ~(1 << 31)
    else
      exit.eax = exit.leaf + 7
    end
    return "next"
  end)
end

return M
