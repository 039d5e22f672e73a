return function(vm)
  local counts = { absent = 0, protection = 0, invlpg = 0, cr3 = 0 }
  local function count(what) counts[what] = counts[what] + 1 end
  vm:on_exit("EXCEPTION_NMI", function(exit)
    if exit.intr_info & 0xff == 14 then count(exit.intr_error & 1 == 0 and "absent" or "protection") end
  end)
  vm:on_exit("INVLPG", function() count("invlpg") end)
  vm:on_exit("CR_ACCESS", function(exit)
    if exit.cr == 3 and exit.access == "mov_to" then count("cr3") end
  end)
  return counts
end
