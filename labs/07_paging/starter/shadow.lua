-- Shadow paging for a guest with 32-bit page tables. vm.mem is the guest's memory, vm.cpu[1].cr3 its CR3; hw is the
-- MMU of the host: hw:set(page, frame, writable, user), hw:drop(page), hw:drop_all(), hw.base, hw.frames.
local Shadow = {}
Shadow.__index = Shadow

-- The MMU found nothing in the shadow for this access (access.address, access.write, access.user), or not enough.
-- "fill": it is in the shadow now, try again. "reflect", error code: the guest's own fault. "emulate", guest-physical
-- address: no RAM.
function Shadow:fault(access)
  return nil
end

-- The guest executed INVLPG for this address.
function Shadow:invlpg(address)
end

-- The guest loaded CR3; the new value is in vm.cpu[1].cr3 already.
function Shadow:cr3()
end

return function(vm, hw) return setmetatable({ vm = vm, hw = hw }, Shadow) end
