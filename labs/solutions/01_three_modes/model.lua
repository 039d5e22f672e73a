return [[
return function(g)
  local n = g:arg("n")
  g:start("boot")
  g:compute(4)
  for leaf = n, 1, -1 do
    g:compute(2)
    g:cpuid(leaf)
    g:compute(2)
  end
  g:compute(1)
  for c in g.args:match("text=(%w*)"):gmatch(".") do
    g:compute(5)
    repeat
      local ready = g:inp(0x3fd) & 0x20
      g:compute(2)
    until ready ~= 0
    g:compute(2)
    g:out(0x3f8, c:byte())
    g:compute(1)
  end
  g:compute(5)
  g:out(0x3ff, n)
  g:inp(0x3ff)
  g:compute(1)
  g:out(0xf4, 0)
end
]]
