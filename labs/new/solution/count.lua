return function(vm)
  local n, divisor = 0
  vm:on_exit("port 0x3f8", function(exit)
    if exit.write and not divisor then n = n + 1 end
  end)
  vm:on_exit("port 0x3fb", function(exit)
    if exit.write then divisor = exit.value & 0x80 ~= 0 end
  end)
  return function() return n end
end
