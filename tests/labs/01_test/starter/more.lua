local M = {}

function M.upper(vm)
end

return M
