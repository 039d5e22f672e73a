-- This file has no vmscope: it looks at the VMs that it is given.
local M = {}

-- Runs vm to its end: { mode=, ended=, exits=, insns=, console=, reasons={ IO_INSTRUCTION=... } }
function M.measure(vm)
end

-- Runs both to their ends: { verdict="holds" or "violated", at=, console= }
function M.equivalent(a, b)
end

-- Runs vm, which has profile vtx-ept: { IO_INSTRUCTION=..., ... }, the exits that a process above /dev/kvm would see.
function M.process_sees(vm)
end

-- What vmscope.compare gave, in short: { ran={...}, missing={...}, equivalence= }
function M.summary(rows)
end

return M
