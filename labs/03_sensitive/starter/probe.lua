-- This file has no vmscope: it looks at the VM that it is given.
local M = {}

-- The console of guest sensitive as a table: rows.SGDT = { kernel = "00000001", user = "00000001" }. Rows that it did not
-- try are not in it.
function M.parse(console)
end

-- Runs a VM of guest sensitive to its end. Gives a table: names.CLI = true when the kernel's try caused an exit.
function M.traps(vm)
end

-- bare, seen: what the kernel saw on the machine itself and here, as in rows.X.kernel; trapped: true or false.
function M.outcome(bare, seen, trapped)
end

return M
