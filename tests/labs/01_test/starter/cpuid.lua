local M = {}

function M.install(vm)
  -- vm:on_exit("CPUID", function(exit) ... end)
end

return M
