-- From the instruction to the verdict and back. README.md says what each function has to give. This file has no vmscope:
-- it looks at the VMs that it is given.
local M = {}

-- The exit qualification of IO_INSTRUCTION: { port=, size=, write=, string=, rep=, imm= }
function M.decode_io(qual)
end

-- The exit qualification of CR_ACCESS: { access=, ... }
function M.decode_cr(qual)
end

-- Where the guest goes on when the verdict is "next".
function M.next_rip(exit)
end

-- The guest-physical address of a linear one, or nil. mem is vm.mem: mem:u64(address) reads an entry.
function M.walk(mem, cr3, address)
end

-- Runs vm to its first exit of this reason: { rip=, bytes=, next_rip=, rip_after=, verdict= }
function M.follow(vm, reason)
end

-- A latch of 32 bits at this port. Only exit.qual says what the guest wants.
function M.latch(vm, port)
end

return M
