-- The behaviour model of guest teller, as a text. g:arg("n", 1) is n; g.args is the whole command line.
return [[
return function(g)
  g:start("boot")
  g:compute(4)
  local n = g:arg("n", 1)
  local text = g.args:match("text=(%w*)")
  g:out(0xf4, 0)
end
]]
