local P, W, U, A, D = 1, 1 << 1, 1 << 2, 1 << 5, 1 << 6
local FRAME = 0xfffff000

local Shadow = {}
Shadow.__index = Shadow

-- The guest's own tables, as its processor would go through them.
function Shadow:fault(access)
  local mem, address = self.vm.mem, access.address
  local code = (access.write and W or 0) | (access.user and U or 0)
  local pde_at = (self.vm.cpu[1].cr3 & FRAME) + 4 * (address >> 22)
  local pde = mem:u32(pde_at)
  if pde & P == 0 then return "reflect", code end
  local pte_at = (pde & FRAME) + 4 * (address >> 12 & 0x3ff)
  local pte = mem:u32(pte_at)
  if pte & P == 0 then return "reflect", code end
  local both = pde & pte
  if access.write and both & W == 0 or access.user and both & U == 0 then return "reflect", code | P end
  pte = pte | A
  if access.write then pte = pte | D end
  mem:u32(pde_at, pde | A)
  mem:u32(pte_at, pte)
  local frame = pte >> 12
  if frame >= self.hw.frames then return "emulate", pte & FRAME | address & 0xfff end
  -- Not writable before the first write: that one has to be seen, to set D.
  self.hw:set(address >> 12, self.hw.base + frame, both & W ~= 0 and pte & D ~= 0, both & U ~= 0)
  return "fill"
end

function Shadow:invlpg(address) self.hw:drop(address >> 12) end
function Shadow:cr3() self.hw:drop_all() end

return function(vm, hw) return setmetatable({ vm = vm, hw = hw }, Shadow) end
