local M = {}

function M.parse(console)
  local rows = {}
  for name, kernel, user in console:gmatch("([%w_]+): kernel ([^,]+), user ([^\n]+)") do
    rows[name] = { kernel = kernel, user = user }
  end
  return rows
end

local FAR = { call_gate = "CALL_FAR", jump_far = "JMP_FAR", return_far = "RET_FAR", iret = "IRET", sysret = "SYSRET" }

function M.traps(vm)
  local names = {}
  vm:run{ until_ = function(exit)
    local try = (vm:symbol(exit.rip) or ""):match("^try_([%w_]+)")
    if try and not vm.console:match("[^\n]*$"):find("kernel") then names[FAR[try] or try] = true end
  end }
  return names
end

function M.outcome(bare, seen, trapped)
  if trapped then return "traps" end
  return seen == bare and "same" or "leaks"
end

return M
