local M = {}

M.answer = 42

function M.upper(vm)
  vm:on_exit("port 0x3f8", function(exit)
    if exit.write then exit.value = string.char(exit.value):upper():byte() end
  end)
end

return M
