local VM = {}
VM.__index = VM

local function place(vm, i)
  assert(i >= 0 and i < vm.size, "the virtual machine does not have this word")
  return vm.base + i
end

function VM:read(i) return self.machine:read(place(self, i)) end
function VM:write(i, v) self.machine:write(place(self, i), v) end
function VM:output(v) self.machine:output(v) end
function VM:input() return self.machine:input() end

-- What the virtual machine's own relocation-bounds register lets through.
local function bound(vm) return math.min(vm.b, vm.size - math.min(vm.l, vm.size)) end

local interpret = {}
interpret[0] = function() return "halt" end
interpret[10] = function(vm, a) vm.r[a], vm.r[a + 1 & 7] = vm.l, vm.b end
interpret[11] = function(vm, a) vm.l, vm.b = vm.r[a], vm.r[a + 1 & 7] end
interpret[12] = function(vm, a) vm.r[a] = vm.m end
interpret[13] = function(vm, a)
  local psw = {}
  for i = 0, 3 do
    local address = vm.r[a] + i & 0xffffffff
    if address >= bound(vm) then return "trap", address end
    psw[i] = vm:read(vm.l + address)
  end
  vm.m, vm.p, vm.l, vm.b = psw[0] & 1, psw[1], psw[2], psw[3]
  return "jump"
end
interpret[14] = function(vm, a) vm:output(vm.r[a]) end
interpret[15] = function(vm, a) vm.r[a] = vm:input() end

local function enter(vm, machine)
  machine.m, machine.p, machine.l, machine.b = 1, vm.p, vm.base + vm.l, bound(vm)
  for i, v in pairs(vm.r) do machine.r[i] = v end
end

local function leave(vm, machine)
  vm.p = machine.p
  for i, v in pairs(machine.r) do vm.r[i] = v end
end

function VM:run(n)
  local used = 0
  while true do
    enter(self, self.machine)
    local what, k, cause, info = self.machine:run(n - used)
    leave(self, self.machine)
    used = used + k
    if what == "limit" then return "limit", used end
    if cause ~= "privileged" or self.m == 1 then return "trap", used, cause, info end
    local how, address = interpret[info >> 24](self, info >> 20 & 7)
    if how == "trap" then return "trap", used, "memory", address end
    used = used + 1
    if how == "halt" then return "halt", used end
    if how ~= "jump" then self.p = self.p + 1 end
  end
end

local number = { memory = 1, privileged = 2, illegal = 3, svc = 4 }

function VM:deliver(cause, info)
  for i, v in ipairs{ self.m, self.p, self.l, self.b, number[cause], info } do self:write(i - 1, v) end
  self.m, self.p, self.l, self.b = self:read(6) & 1, self:read(7), self:read(8), self:read(9)
end

return function(machine, base, size)
  return setmetatable({ machine = machine, base = base, size = size, m = 0, p = 16, l = 0, b = size,
    r = { [0] = 0, 0, 0, 0, 0, 0, 0, 0 } }, VM)
end
