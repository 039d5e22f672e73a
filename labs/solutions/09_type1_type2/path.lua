local function path(model, type, reason)
  local paths = model["type" .. type]
  local result = { total_ns = 0, steps = {} }
  for i, name in ipairs(paths[reason] or paths.default) do
    local step = model.steps[name]
    result.steps[i] = { name = name, ns = step.ns, source = step.source }
    result.total_ns = result.total_ns + step.ns
  end
  return result
end

local function run(model, type, exits_by)
  local sum = 0
  for reason, n in pairs(exits_by) do sum = sum + n * path(model, type, reason).total_ns end
  return sum
end

return { path = path, run = run }
