-- vmscope lab run try.lua [TYPE [REASON]]: the path that your path.lua gives for the model in model.lua. Change it as
-- you like; it is not handed in.
local f, model = include("path"), include("model")
local type, reason = math.tointeger(arg[1] or 2), arg[2] or "IO_INSTRUCTION"

local p = f.path(model, type, reason)
print("type " .. type, reason, p.total_ns .. " ns")
for _, s in ipairs(p.steps) do print("", s.name, s.ns, s.source) end
