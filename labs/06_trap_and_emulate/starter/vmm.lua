-- Your VMM. It returns a function that makes a virtual machine out of a part of a machine: size words of its memory
-- from word base on. The virtual machine has the fields and the methods of the machine (README.md lists them), so
-- that whoever has one cannot tell which it is.
local VM = {}
VM.__index = VM

-- The allocator: which words of the machine belong to this virtual machine.
function VM:read(i)
  return 0
end

function VM:write(i, v)
end

-- Devices.
function VM:output(v)
end

function VM:input()
  return 0
end

-- The dispatcher: lets the real machine run in user mode, with a relocation-bounds register that keeps the guest
-- inside, and decides what each trap means. Gives what, used, cause, info like the machine's run.
function VM:run(n)
  return "halt", 0
end

-- The interpreter routines, one a privileged instruction, on the virtual state.

-- What the machine does at a trap, on the virtual machine's own words 0 to 9.
function VM:deliver(cause, info)
end

return function(machine, base, size)
  local vm = setmetatable({ machine = machine, base = base, size = size, m = 0, p = 16, l = 0, b = size, r = {} }, VM)
  for i = 0, 7 do vm.r[i] = 0 end
  return vm
end
