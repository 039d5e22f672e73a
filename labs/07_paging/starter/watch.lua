-- Puts exit handlers on vm, which has not run yet and is under vtx-shadow, and gives a table in which they count. They
-- change nothing of what the guest sees.
return function(vm)
  local counts = { absent = 0, protection = 0, invlpg = 0, cr3 = 0 }
  vm:on_exit("INVLPG", function(exit)
    -- count it
  end)
  return counts
end
